"""Pure machines: topics, groups, producer ids, fetch waits. No I/O, no clock of their own."""
