"""One partition's durable log in Kafka's on-disk format, on a FileSystem port."""
