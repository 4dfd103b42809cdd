"""What speaks to AWS. boto3 and the SDK are imported when an `s3://` or `ml.*` value is first used."""
