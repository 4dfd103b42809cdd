"""Files between this machine and S3."""
