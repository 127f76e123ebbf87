"""From Kafka's message definitions to src/tickertape/wire/schema; never imported by tickertape."""
