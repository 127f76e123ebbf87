"""What the configuration really does, in a few lines for people, printed when a worker starts."""

import re
from collections.abc import Iterator

from tickertape.connect.s3.settings import SinkSettings

_LABEL_WIDTH = 14
_READ_UNCOMMITTED = "read_uncommitted, as the file says: aborted transactions are stored too"
_READ_COMMITTED = (
    "read_committed: aborted transactions are left out (Connect's default stores them, as"
    " consumer.override.isolation.level=read_uncommitted does here)"
)


def start_report(settings: SinkSettings, store_url: str) -> list[str]:
    """Lines for the screen; never a secret. ``store_url`` is where the objects go."""
    topics = ", ".join(settings.topics) or f"topics matching {settings.topics_regex}"
    lines = [f"{settings.name}: {topics} -> {store_url}   (group {settings.group_id})"]
    for label, text in _facts(settings):
        lines.append(f"  {label:<{_LABEL_WIDTH}}{text}")
    return lines


def _facts(settings: SinkSettings) -> Iterator[tuple[str, str]]:
    yield "exactly once", "yes: flush intents in the group, create-only objects, a manifest each"
    reasons = _why_confluent_is_not(settings)
    if reasons:
        yield "", "Confluent's connector is not with this file: " + "; ".join(reasons)
    yield "flushes", _flushes(settings)
    yield "", _tail(settings)
    if settings.layout.partitioner == "time":
        yield "directories", _directories(settings)
    yield "lines", _lines(settings)
    yield "not stored", _not_stored(settings)
    committed = settings.isolation_level == "read_committed"
    yield "isolation", _READ_COMMITTED if committed else _READ_UNCOMMITTED
    if settings.layout.partitioner == "time" and _is_no_language(settings.layout.locale):
        yield "locale", f"{settings.layout.locale} is no language to Java; numbers do not care"
    for reason, keys in _inert(settings).items():
        yield "no effect", f"{', '.join(keys)}: {reason}"
    for notice in settings.notices:
        if notice.kind == "warning":
            yield "warning", str(notice)


def _why_confluent_is_not(settings: SinkSettings) -> list[str]:
    reasons = []
    if not settings.layout.replayable:
        reasons.append("its directories follow the clock, so a replay past midnight stores twice")
    if settings.rotate_schedule_interval_ms > 0:
        reasons.append("rotate.schedule.interval.ms cuts a replay elsewhere")
    return reasons


def _flushes(settings: SinkSettings) -> str:
    rules = [f"every {settings.flush_size} records of a partition"]
    if settings.rotate_interval_ms > 0 and settings.layout.partitioner == "time":
        rules.append(f"every {_span(settings.rotate_interval_ms)} of record time")
    if settings.rotate_schedule_interval_ms > 0:
        span = _span(settings.rotate_schedule_interval_ms)
        rules.append(f"every {span} by the clock ({settings.timezone})")
    return ", ".join(rules)


def _tail(settings: SinkSettings) -> str:
    if settings.flush_idle_ms >= 0:
        return (
            f"a quiet partition's tail after {_span(settings.flush_idle_ms)}"
            f" (flush.idle.ms={settings.flush_idle_ms}; Confluent's connector leaves it behind)"
        )
    if settings.rotate_schedule_interval_ms > 0:
        return "a quiet partition's tail with the next scheduled flush"
    return "STRANDED: the tail of a quiet partition is never stored (flush.idle.ms=-1)"


def _directories(settings: SinkSettings) -> str:
    layout = settings.layout
    pattern = f"{layout.path_format} in {layout.timezone}"
    match layout.extractor:
        case "wallclock":
            return (
                f"{pattern}, by the time of processing, not of the record"
                " (timestamp.extractor=Record takes the record's)"
            )
        case "record":
            return f"{pattern}, by the record's timestamp"
        case "recordfield":
            return f"{pattern}, by the field {layout.timestamp_field}; without a zone it is UTC"


def _lines(settings: SinkSettings) -> str:
    layout = settings.layout
    if layout.format == "bytes":
        return f"raw values, each followed by {layout.separator!r}; read back only if none holds it"
    if layout.converter == "string":
        return 'each value as a JSON string: {"a":1} becomes "{\\"a\\":1}"; bad UTF-8 is replaced'
    if layout.converter == "bytes":
        return "each value as a JSON string of its base64"
    if layout.schemas_enable:
        return "the payload of each value, in the order of its schema"
    if layout.json_compat == "preserve":
        return "each value's JSON as it came"
    return (
        "each value's JSON as Java rewrites it: keys in hash order, floats and white space change"
    )


def _not_stored(settings: SinkSettings) -> str:
    text = "keys, headers, timestamps"
    if settings.layout.null_values == "ignore":
        return f"{text}; records with a null value (listed in the manifest)"
    return f"{text}; a null value stops the task (behavior.on.null.values=fail)"


def _is_no_language(locale: str) -> bool:
    """Java takes the whole text for a language code: two or three letters, and KR is none."""
    return not re.fullmatch(r"[A-Za-z]{2,3}", locale) or locale.lower() == "kr"


def _inert(settings: SinkSettings) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for notice in settings.notices:
        if notice.kind == "inert":
            reasons.setdefault(notice.text, []).append(notice.entry.key)
    return reasons


def _span(ms: int) -> str:
    for unit_ms, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if ms >= unit_ms and ms % unit_ms == 0:
            return f"{ms // unit_ms} {unit}"
    return f"{ms} ms"
