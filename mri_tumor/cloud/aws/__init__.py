"""What speaks to AWS: it is imported when an `s3://` or `ml.*` value is first used."""
