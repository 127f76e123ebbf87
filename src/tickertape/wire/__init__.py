"""Bytes <-> values of the Kafka protocol: primitives, frames, record batches, messages.

No state, no I/O. Any bytes decode to a value or raise DecodeError, and no length is trusted before
it is checked against the bytes that are there.
"""
