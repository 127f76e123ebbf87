"""Joda-Time's pattern language and zone arithmetic, as far as object directories need them.

Letters: ``G C Y y x M w D d e E a K h H k m s S Z``; ``'text'`` and non-letters are literal, ``''``
is a quote (org.joda.time.format.DateTimeFormat). ``z`` and ``ZZZ``, the zone's name and id, are
refused: they differ from one JDK and Joda release to the next. Java reads ``locale`` as a bare
language: ``en`` has English text (``MMM``, ``EEE``, ``a``, ``G``), and what is no language at all
(``KR``, ``ko_KR``, ``en_US``) has the root locale's, where long forms equal the short ones. Any
other language is refused when the pattern has text. Zone rules are those of ``tzdata``.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tickertape.base.errors import MisuseError

Field = Callable[[datetime, int], str]  # (local time, its milliseconds) -> text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NUMBERS: dict[str, Callable[[datetime], int]] = {
    "C": lambda t: t.year // 100,
    "Y": lambda t: t.year,
    "y": lambda t: t.year,
    "x": lambda t: t.isocalendar().year,
    "M": lambda t: t.month,
    "w": lambda t: t.isocalendar().week,
    "D": lambda t: t.timetuple().tm_yday,
    "d": lambda t: t.day,
    "e": lambda t: t.isoweekday(),
    "K": lambda t: t.hour % 12,
    "h": lambda t: (t.hour + 11) % 12 + 1,
    "H": lambda t: t.hour,
    "k": lambda t: (t.hour + 23) % 24 + 1,
    "m": lambda t: t.minute,
    "s": lambda t: t.second,
}
_OFFSET = re.compile(r"([+-])([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2}))?)?")


def zone(name: str) -> tzinfo:
    """A Joda zone id: ``UTC``, a region as ``Asia/Seoul``, or an offset as ``+09:00``.

    MisuseError if there is no such zone.
    """
    if name in ("UTC", "UCT", "GMT", "Z"):
        return UTC
    match = _OFFSET.fullmatch(name)
    if match is not None:
        hours, minutes, seconds = (int(part or 0) for part in match.groups()[1:])
        if hours < 24 and minutes < 60 and seconds < 60:
            span = timedelta(hours=hours, minutes=minutes, seconds=seconds)
            return timezone(-span if match[1] == "-" else span)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise MisuseError(
            f"got the time zone {name!r}, want an id as Asia/Seoul or an offset as +09:00"
        ) from error


def offset_ms(tz: tzinfo, utc_ms: int) -> int:
    """How far local time is ahead of UTC at an instant. ValueError outside years 1 to 9999."""
    try:
        offset = (_EPOCH + timedelta(milliseconds=utc_ms)).astimezone(tz).utcoffset()
    except OverflowError as error:
        raise ValueError(f"got the time {utc_ms} ms, want one in the years 1 to 9999") from error
    assert offset is not None  # every zone() is aware
    return offset // timedelta(milliseconds=1)


def local_to_utc(tz: tzinfo, local_ms: int) -> int:
    """DateTimeZone.convertLocalToUTC(local, strict=false), gaps and overlaps included."""
    guess = offset_ms(tz, local_ms)
    offset = offset_ms(tz, local_ms - guess)
    if guess != offset and guess < 0 and offset_ms(tz, local_ms - offset) != offset:
        offset = guess  # inside the gap of a western zone
    return local_ms - offset


def start_of_day(tz: tzinfo, utc_ms: int) -> int:
    """The first instant of the local day that holds ``utc_ms``."""
    local = (_EPOCH + timedelta(milliseconds=utc_ms)).astimezone(tz)
    return _midnight(tz, local)


def start_of_next_day(tz: tzinfo, utc_ms: int) -> int:
    """The first instant of the next local day."""
    local = (_EPOCH + timedelta(milliseconds=utc_ms)).astimezone(tz)
    return _midnight(tz, local + timedelta(days=1))


def _midnight(tz: tzinfo, local: datetime) -> int:
    midnight = datetime(local.year, local.month, local.day, tzinfo=tz)
    return (midnight - _EPOCH) // timedelta(milliseconds=1)


class Pattern:
    """A compiled pattern. MisuseError on a letter Joda does not know or we refuse (see above)."""

    def __init__(self, pattern: str, tz: tzinfo, locale: str) -> None:
        if not pattern:
            raise MisuseError("got an empty path format, want a Joda pattern as YYYY-MM-dd")
        self._tz = tz
        self._fields = [
            _literal(text) if literal else _field(text, pattern, locale)
            for literal, text in tokens(pattern)
        ]

    def format(self, utc_ms: int) -> str:
        """The text of an instant. ValueError outside years 1 to 9999."""
        try:
            moment = (_EPOCH + timedelta(milliseconds=utc_ms)).astimezone(self._tz)
        except OverflowError as error:
            raise ValueError(f"got the time {utc_ms} ms, want years 1 to 9999") from error
        return "".join([field(moment, utc_ms % 1000) for field in self._fields])


def tokens(pattern: str) -> Iterator[tuple[bool, str]]:
    """(is it literal, text): runs of one letter, and the literal text between them."""
    at = 0
    while at < len(pattern):
        start = at
        if _is_letter(pattern[at]):
            while at < len(pattern) and pattern[at] == pattern[start]:
                at += 1
            yield False, pattern[start:at]
            continue
        text, quoted = "", False
        while at < len(pattern) and (quoted or not _is_letter(pattern[at])):
            if pattern.startswith("''", at):
                text += "'"
                at += 1
            elif pattern[at] == "'":
                quoted = not quoted
            else:
                text += pattern[at]
            at += 1
        yield True, text


def _is_letter(char: str) -> bool:
    return char.isascii() and char.isalpha()


def _literal(text: str) -> Field:
    return lambda _t, _ms: text


def _field(token: str, pattern: str, locale: str) -> Field:
    letter, width = token[0], len(token)
    if letter in "GEa" or (letter == "M" and width >= 3):
        return _text_field(letter, width, english=_is_english(token, pattern, locale))
    if letter == "S":
        return lambda _, ms: f"{ms:03d}".ljust(width, "0")[:width]
    if letter == "Z" and width <= 2:
        return _offset_field(":" if width == 2 else "")
    number = _NUMBERS.get(letter)
    if number is None:
        why = "zone names differ between JDKs" if letter in "zZ" else "Joda has none such"
        raise MisuseError(
            f"path format {pattern!r}: got {token!r} ({why}),"
            " want letters out of GCYyxMwDdeEaKhHkmsS, Z, ZZ, or text in single quotes"
        )
    if letter in "Yyx" and width == 2:
        return lambda t, _: f"{number(t) % 100:02d}"
    return lambda t, _: f"{number(t):0{width}d}"


def _is_english(token: str, pattern: str, locale: str) -> bool:
    """Whether text is English rather than the root locale's."""
    if locale.lower() == "en":
        return True
    if re.fullmatch(r"[A-Za-z]{2,3}", locale) and locale.lower() != "kr":
        raise MisuseError(
            f"path format {pattern!r}: got the text field {token!r} with locale={locale!r},"
            " want locale=en or numbers only (as MM): names in other languages are not supported"
        )
    return False


def _text_field(letter: str, width: int, *, english: bool) -> Field:
    cut = None if width >= 4 and english else 3
    match letter:
        case "M":
            return lambda t, _: _MONTHS[t.month - 1][:cut]
        case "E":
            return lambda t, _: _DAYS[t.weekday()][:cut]
        case "a":
            return lambda t, _: "AM" if t.hour < 12 else "PM"
        case _:
            return lambda _t, _ms: "AD" if english else "CE"


def _offset_field(colon: str) -> Field:
    def offset(moment: datetime, _ms: int) -> str:
        plain = moment.strftime("%z")
        return f"{plain[:3]}{colon}{plain[3:5]}"

    return offset
