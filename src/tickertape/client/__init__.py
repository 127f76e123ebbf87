"""What Python users import, on confluent-kafka, and the few Kafka calls it lacks."""
