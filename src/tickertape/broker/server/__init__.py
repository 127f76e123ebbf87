"""The asyncio shell: sockets, the core loop, group-commit fsync, shutdown."""
