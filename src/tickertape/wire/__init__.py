"""Bytes to values and back: primitives, frames, record batches, messages. No state, no I/O."""
