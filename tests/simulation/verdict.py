"""The word for a broken promise of the broker."""


class ViolationError(AssertionError):
    """The broker did what it must not do; the message says what was got and what was wanted."""


def demand(kept: bool, message: str) -> None:  # noqa: FBT001  # reads as the promise it states
    """Raise ViolationError unless the promise is kept."""
    if not kept:
        raise ViolationError(message)
