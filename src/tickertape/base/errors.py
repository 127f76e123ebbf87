"""Three kinds of error, by who is to blame. Messages say what was got and what was wanted.

Outcomes that the Kafka protocol has a code for are values, not exceptions: see wire.error_codes.
"""


class TapeError(Exception):
    """Root of every error that tickertape raises on purpose."""


class PeerError(TapeError):
    """The other side sent bytes that no correct client sends: the connection is closed."""


class StorageError(TapeError):
    """A disk or an object store refused, failed or returned damaged bytes."""


class MisuseError(TapeError):
    """Our caller asked for something that cannot be done: bad arguments, bad configuration."""
