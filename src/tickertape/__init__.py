"""Kafka for one machine and beyond, exactly once, from tick to S3, with the proof."""

__version__ = "0.1.0"
