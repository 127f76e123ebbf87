"""Which column of a tick file is its time, in which unit, and how it becomes milliseconds. Pure.

A column is named by the user (``NAME`` or ``NAME:unit``) or guessed from the header. The unit comes
from the name's ending (``_ns _us _ms _s``), from the user, or from the first row's value: a
magnitude or an ISO 8601 date. Times without a zone are taken as UTC.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tickertape.base.errors import MisuseError

Parse = Callable[[str], int]

TIMESTAMP_MS_MAX: Final = 253_402_300_799_999  # 9999-12-31, the last instant that ISO dates spell
_DAY_MS: Final = 86_400_000
_MIDNIGHT: Final = "since_midnight"
_FIRST_CHOICE: Final = (
    "recv_ns", "recv_us", "recv_ms", "event_ns", "event_us", "event_ms", "trade_ms", "txn_ms",
    "ts_ns", "ts_us", "ts_ms", "ts", "timestamp", "time", "datetime", "date",
)  # fmt: skip
_UNIT_OF_ENDING: Final = re.compile(r"(?:^|_)(ns|us|ms|s|sec|seconds|millis)(?:_since_midnight)?$")
_UNITS: Final = {"sec": "s", "seconds": "s", "millis": "ms"}


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A column, how to read it (ValueError on a bad field), and a sentence that says so.

    ``identity`` never changes its wording: it is part of what a run resumes by.
    """

    index: int
    parse: Parse
    meaning: str
    identity: str

    def refusal(self, field: str, error: ValueError) -> str:
        """Why ``parse`` did not take a field: our own reason, or else what was expected."""
        ours = str(error).startswith(f"{field!r} is ")
        return f"time {error}" if ours else f"time {field!r} is not {self.meaning}"


def find_time_column(
    header: Sequence[str], first_row: Sequence[str], wanted: str | None, file_name: str
) -> TimeColumn | None:
    """The time column; None if nothing in the header looks like one and none was wanted.

    ``first_row`` (may be empty) settles the unit where the name does not. ``file_name`` gives the
    date to a time of day if it holds one as YYYYMMDD. MisuseError if ``wanted`` is not there.
    """
    name, _, unit = (wanted or _guess(header) or "").partition(":")
    if not name:
        return None
    if name not in header:
        raise MisuseError(f"--time-column {name!r}: want one of {', '.join(header)}")
    index = header.index(name)
    sample = first_row[index] if index < len(first_row) else ""
    unit = unit or _unit_of(name, sample)
    if unit not in {"ns", "us", "ms", "s", "iso"}:
        raise MisuseError(f"--time-column {wanted!r}: unit {unit!r}, want ns, us, ms, s or iso")
    parse = PARSERS[unit]
    meaning = f"{name} ({'ISO 8601, UTC unless it says otherwise' if unit == 'iso' else unit})"
    if name.endswith(_MIDNIGHT):
        midnight_ms, day = _day_in(file_name)
        parse = _after_midnight(parse, midnight_ms)
        return TimeColumn(index, parse, f"{meaning}, day {day}", f"{name}:{unit}@{midnight_ms}")
    return TimeColumn(index, parse, meaning, f"{name}:{unit}")


def _guess(header: Sequence[str]) -> str | None:
    lowered = {name.lower(): name for name in reversed(header)}
    for choice in _FIRST_CHOICE:
        if choice in lowered:
            return lowered[choice]
    for name in header:
        if re.search(r"_(ns|us|ms)$", name.lower()) or name.lower().endswith(_MIDNIGHT):
            return name
    return None


def _unit_of(name: str, sample: str) -> str:
    ending = _UNIT_OF_ENDING.search(name.lower())
    if ending is not None:
        return _UNITS.get(ending[1], ending[1])
    whole = sample.strip().partition(".")[0]
    if not whole.lstrip("-").isdecimal() or len(whole) == len("20260105"):
        return "iso"
    # Seconds since 1970 have 10 digits from 2001 to 2286; each finer unit has three more.
    digits = len(whole.lstrip("-"))
    return "s" if digits <= 11 else "ms" if digits <= 14 else "us" if digits <= 17 else "ns"


def _day_in(file_name: str) -> tuple[int, str]:
    for found in re.finditer(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)", file_name):
        try:
            day = datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC)
        except ValueError:
            continue
        return int(day.timestamp()) * 1000, f"{day:%Y-%m-%d} as the file's name says"
    return 0, "1970-01-01 because the file's name holds no date"


def _after_midnight(parse: Parse, midnight_ms: int) -> Parse:
    def since_midnight(field: str) -> int:
        of_day = parse(field)
        if of_day > 2 * _DAY_MS:  # sessions that run past midnight keep counting
            raise ValueError(f"{field!r} is not within two days of midnight")
        return midnight_ms + of_day

    return since_midnight


def _checked(ms: int, field: str) -> int:
    if not 0 <= ms <= TIMESTAMP_MS_MAX:
        raise ValueError(f"{field!r} is outside 1970 to 9999")
    return ms


def _from_ns(field: str) -> int:
    return _checked(int(field) // 1_000_000, field)


def _from_us(field: str) -> int:
    return _checked(int(field) // 1000, field)


def _from_ms(field: str) -> int:
    whole, dot, fraction = field.partition(".")
    if dot:
        int(fraction)  # ValueError unless digits
    return _checked(int(whole), field)


def _from_s(field: str) -> int:
    whole, dot, fraction = field.partition(".")
    thousandths = int((fraction + "00")[:3]) if dot else 0
    return _checked(int(whole) * 1000 + thousandths, field)


def _from_iso(field: str) -> int:
    moment = datetime.fromisoformat(field.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since_1970 = moment - datetime(1970, 1, 1, tzinfo=UTC)
    whole_ms = (since_1970.days * _DAY_MS) + since_1970.seconds * 1000
    return _checked(whole_ms + since_1970.microseconds // 1000, field)


PARSERS: Final[dict[str, Parse]] = {
    "ns": _from_ns, "us": _from_us, "ms": _from_ms, "s": _from_s, "iso": _from_iso,
}  # fmt: skip
