"""Lines that a client can cause at will, written no more often than somebody can read them."""

from typing import Final

from tickertape.base.ports import Clock

_KEYS_MAX: Final = 1_000


class Repeats:
    """Lets the same thing pass once in ``every_ms``, and counts what it held back."""

    def __init__(self, clock: Clock, every_ms: int) -> None:
        """Nothing has been said yet."""
        self._clock = clock
        self._every_ms = every_ms
        self._last: dict[str, tuple[int, int]] = {}  # key -> when it passed, held back since

    def passes(self, key: str, line: str) -> str | None:
        """``line``, with how often ``key`` was held back before; None: not again so soon."""
        now_ms = self._clock.monotonic_ms()
        at, held_back = self._last.get(key, (now_ms - self._every_ms, 0))
        if now_ms - at < self._every_ms:
            self._last[key] = (at, held_back + 1)
            return None
        if len(self._last) >= _KEYS_MAX:
            self._last.clear()
        self._last[key] = (now_ms, 0)
        return f"{line} ({held_back} times more since the last line)" if held_back else line
