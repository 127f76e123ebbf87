"""Tickertape beside Apache Kafka: same machine, same client, same run. See docs/benchmarks.md."""
