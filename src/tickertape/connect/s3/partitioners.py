"""Which directory a record goes to: Default (``partition=N``) and TimeBased (Joda pattern).

Partitioners answer for whole chunks, in runs of equal directories; a clock or an ordered time field
costs two passes in C per chunk, not a call per record. (Confluent's Daily and Hourly are TimeBased
with a fixed pattern; config.s3_sink spells them out.)
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import orjson

from tickertape.base.errors import MisuseError
from tickertape.connect.s3 import joda
from tickertape.connect.s3.chunk import RecordRejectedError
from tickertape.connect.s3.layout import Layout

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = 60_000
_HOUR = 3_600_000
_PATHS_MAX = 10_000  # cached directories per partition before the cache starts over
NO_TIMESTAMP = -1


class Run(NamedTuple):
    """Records ``lo`` to ``hi`` (exclusive) of a chunk go to one directory; None: to none."""

    directory: str | None
    lo: int
    hi: int


class Partitioner(Protocol):
    """Maps records to directories."""

    def times(
        self, values: Sequence[bytes | None], timestamps: Sequence[int], now_ms: int
    ) -> Sequence[int] | None:
        """Each record's time in ms as the extractor sees it; None where time plays no role."""
        ...

    def runs(self, times: Sequence[int] | None, count: int) -> list[Run]:
        """``count`` records as runs, in order. RecordRejectedError where there is no directory."""
        ...


class DefaultPartitioner:
    """``partition=<kafka partition>``."""

    def __init__(self, partition: int) -> None:
        self._directory = f"partition={partition}"

    def times(self, values: Sequence[bytes | None], timestamps: Sequence[int], now_ms: int) -> None:
        """Time plays no role."""

    def runs(self, times: Sequence[int] | None, count: int) -> list[Run]:
        """One run."""
        return [Run(self._directory, 0, count)] if count else []


class TimePartitioner:
    """The time, truncated to ``duration_ms`` in the zone, printed by the pattern."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._tz = joda.zone(layout.timezone)
        self._pattern = joda.Pattern(layout.path_format, self._tz, layout.locale)
        self._duration = layout.duration_ms
        self._paths: dict[int, str] = {}
        self._window = (0, 0, "")

    def times(
        self, values: Sequence[bytes | None], timestamps: Sequence[int], now_ms: int
    ) -> Sequence[int]:
        """Wall clock, record timestamp, or the field of the value."""
        if self._layout.extractor == "wallclock":
            return [now_ms] * len(values)
        if self._layout.extractor == "record":
            if len(timestamps) != len(values):
                raise MisuseError(
                    f"got {len(timestamps)} timestamps for {len(values)} records, want one each:"
                    " this layout takes directories from record timestamps"
                )
            return timestamps
        return [self._field_time(value, index) for index, value in enumerate(values)]

    def runs(self, times: Sequence[int] | None, count: int) -> list[Run]:
        """Neighbouring records of one directory share a run."""
        assert times is not None
        if self._layout.extractor == "wallclock":
            return [Run(self.directory(times[0]), 0, count)] if count else []
        found: list[Run] = []
        for run in self._windows(times, count):
            if found and found[-1].directory == run.directory:
                found[-1] = Run(run.directory, found[-1].lo, run.hi)
            else:
                found.append(run)
        return found

    def directory(self, time_ms: int) -> str:
        """The directory of one instant. ValueError outside years 1 to 9999."""
        lo, hi, path = self._window
        if not lo <= time_ms < hi:
            self._window = self._find_window(time_ms)
            path = self._window[2]
        return path

    def _windows(self, times: Sequence[int], count: int) -> Iterator[Run]:
        at = 0
        while at < count:
            time_ms = times[at]
            if time_ms == NO_TIMESTAMP:
                raise RecordRejectedError(at, "got no timestamp, want one (timestamp.extractor)")
            try:
                path = self.directory(time_ms)
            except ValueError as error:
                raise RecordRejectedError(at, str(error)) from error
            lo, hi, _ = self._window
            rest = times[at:count] if at else times
            if lo <= min(rest) and max(rest) < hi:
                yield Run(path, at, count)
                return
            end = at + 1
            while end < count and lo <= times[end] < hi:
                end += 1
            yield Run(path, at, end)
            at = end

    def _find_window(self, time_ms: int) -> tuple[int, int, str]:
        """The widest cheap range of instants around this one that share its directory."""
        offset = joda.offset_ms(self._tz, time_ms)
        local = time_ms + offset
        steps = local // self._duration if local >= 0 else -(-local // self._duration)
        truncated = steps * self._duration
        path = self._paths.get(truncated)
        if path is None:
            path = self._pattern.format(joda.local_to_utc(self._tz, truncated))
            if len(self._paths) >= _PATHS_MAX:
                self._paths.clear()
            self._paths[truncated] = path
        if local < 0 or time_ms < 0:  # odd local mean times and truncation towards 1970
            return time_ms, time_ms + 1, path
        lo = time_ms // _HOUR * _HOUR
        hi = lo + _HOUR
        if {joda.offset_ms(self._tz, lo), joda.offset_ms(self._tz, hi - 1)} != {offset}:
            lo = time_ms // _MINUTE * _MINUTE  # zones change their offset on whole minutes
            hi = lo + _MINUTE
        return max(lo, truncated - offset), min(hi, truncated - offset + self._duration), path

    def _field_time(self, value: bytes | None, index: int) -> int:
        """RecordField: an integer of ms, a string of digits, or an ISO-8601 string (UTC)."""
        found: object = None
        if value is not None:
            try:
                found = orjson.loads(value)
            except orjson.JSONDecodeError as error:
                raise RecordRejectedError(index, f"got a value that is no JSON: {error}") from error
        if self._layout.schemas_enable and isinstance(found, dict):
            found = found.get("payload")
        for part in self._layout.timestamp_field.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        moment = _field_ms(found)
        if moment is None:
            field = self._layout.timestamp_field
            raise RecordRejectedError(
                index, f"got {found!r} in the field {field!r}, want ms since 1970 or ISO-8601"
            )
        return moment


def _field_ms(found: object) -> int | None:
    if isinstance(found, bool):
        return None
    if isinstance(found, int | float):
        return int(found)
    if not isinstance(found, str):
        return None
    try:
        return int(found)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(found)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def partitioner_for(layout: Layout, partition: int) -> Partitioner:
    """The partitioner of a layout. MisuseError on a bad pattern or zone."""
    if layout.partitioner == "default":
        return DefaultPartitioner(partition)
    return TimePartitioner(layout)
