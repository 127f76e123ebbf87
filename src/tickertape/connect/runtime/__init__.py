"""The worker: consumer, tasks, offsets, what the configuration really does."""
