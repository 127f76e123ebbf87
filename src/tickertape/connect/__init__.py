"""A Kafka-Connect-compatible worker; its first connector backs topics up to S3."""
