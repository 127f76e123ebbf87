"""The object store port and its adapters: a directory, memory, S3."""
