"""What Python users and commands ask of any Kafka cluster that librdkafka has no call for."""
