"""From the user's two properties files to SinkSettings, or a list of what is wrong with them."""

from collections.abc import Sequence
from typing import Final

from tickertape.base.errors import MisuseError
from tickertape.config import s3_sink, worker
from tickertape.config.keys import Checked, Notice, check, refusal
from tickertape.config.properties import Entry
from tickertape.connect.s3 import joda
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.settings import SinkSettings

_HOUR_MS: Final = 3_600_000
_TIME_KEYS: Final = (
    "path.format", "partition.duration.ms", "locale", "timestamp.extractor", "timestamp.field",
)  # fmt: skip
_CONNECTOR_PREFIX: Final = "consumer.override."
_WORKER_PREFIX: Final = "consumer."


def load_settings(worker_file: Sequence[Entry], sink_file: Sequence[Entry]) -> SinkSettings:
    """Settings from the two files' entries.

    MisuseError lists every property that is wrong or not supported, one a line, with file, line,
    key, got and want. What is merely inert, unknown or doubtful is in ``notices``.
    """
    base = check(worker_file, _source(worker_file, "worker file"), worker.KEYS, worker.PREFIXES)
    keys = (*s3_sink.KEYS, *s3_sink.CONVERTER_KEYS)
    sink = check(sink_file, _source(sink_file, "connector file"), keys, s3_sink.PREFIXES)
    layout = _layout(sink, _conversion(base, sink, worker_file))
    _check_together(sink, layout)
    _check_time(sink, layout)
    consumer = _consumer(base, sink)
    errors = base.errors + sink.errors
    if errors:
        raise MisuseError("\n".join(errors + _strangers(base, sink)))
    topics = sink.values["topics"]
    assert isinstance(topics, tuple)
    return SinkSettings(
        name=sink.text("name"),
        topics=topics,
        topics_regex=sink.text("topics.regex") or None,
        tasks_max=sink.number("tasks.max"),
        flush_size=sink.number("flush.size"),
        layout=layout,
        rotate_interval_ms=sink.number("rotate.interval.ms"),
        rotate_schedule_interval_ms=sink.number("rotate.schedule.interval.ms"),
        rotate_on_directory_change=sink.flag("rotate.file.on.partition.change"),
        flush_idle_ms=sink.number("flush.idle.ms"),
        timezone=sink.text("timezone") or "UTC",
        bucket=sink.text("s3.bucket.name") or None,
        region=_region(sink),
        store_url=sink.text("store.url") or None,
        path_style=sink.flag("s3.path.style.access.enabled"),
        part_retries=sink.number("s3.part.retries"),
        retry_backoff_ms=sink.number("retry.backoff.ms"),
        bootstrap_servers=consumer.pop("bootstrap.servers", base.text("bootstrap.servers")),
        consumer=consumer,
        access_key_id=sink.text("aws.access.key.id"),
        secret_access_key=sink.text("aws.secret.access.key"),
        notices=(*base.notices, *sink.notices),
    )


def _strangers(*files: Checked) -> list[str]:
    """Unknown keys: one of them, misspelled, may be why another one is missing."""
    return [str(notice) for checked in files for notice in checked.notices if notice.unknown]


def _region(sink: Checked) -> str | None:
    """Confluent's default is for a bucket named by s3.bucket.name; a URL leaves it to AWS's."""
    by_url = sink.text("store.url").startswith("s3:")
    return None if by_url and not sink.given("s3.region") else sink.text("s3.region")


def _source(entries: Sequence[Entry], default: str) -> str:
    return entries[0].source if entries else default


def _conversion(base: Checked, sink: Checked, worker_file: Sequence[Entry]) -> Checked:
    """The file that names the value converter, with that file's settings for it."""
    if sink.given("value.converter"):
        return sink
    converter_keys = {key.name for key in s3_sink.CONVERTER_KEYS}
    entries = [entry for entry in worker_file if entry.key in converter_keys]
    conversion = check(entries, base.source, s3_sink.CONVERTER_KEYS, {})
    conversion.values["value.converter"] = base.values["value.converter"]
    base.errors.extend(conversion.errors)
    if not base.given("value.converter"):
        sink.refuse("value.converter", "a converter class, here or in the worker file")
    return conversion


def _layout(sink: Checked, conversion: Checked) -> Layout:
    """What determines bytes and names. A setting without effect keeps its default.

    So the fingerprint does not change with what does not matter.
    """
    settings: dict[str, object] = {
        "topics_dir": sink.text("topics.dir"),
        "directory_delim": sink.text("directory.delim"),
        "file_delim": sink.text("file.delim"),
        "pad_width": sink.values["filename.offset.zero.pad.width"],
        "format": sink.values["format.class"] or "json",
        "compression": sink.values["s3.compression.type"],
        "converter": conversion.values["value.converter"] or "string",
        "null_values": sink.values["behavior.on.null.values"],
    }
    if settings["compression"] == "gzip":
        settings["level"] = sink.values["s3.compression.level"]
    if settings["format"] == "bytes":
        settings["extension"] = sink.text("format.bytearray.extension")
        settings["separator"] = sink.values["format.bytearray.separator"]
    if settings["converter"] == "json":
        settings["schemas_enable"] = conversion.values["value.converter.schemas.enable"]
        if settings["schemas_enable"]:
            settings["decimal_format"] = sink.values["json.decimal.format"]
        else:
            settings["json_compat"] = sink.values["json.compat"]
    if sink.values["partitioner.class"] != "default":
        settings |= _time_settings(sink)
    return Layout.from_json(settings)


def _time_settings(sink: Checked) -> dict[str, object]:
    delim = sink.text("directory.delim")
    path_format, duration = sink.text("path.format"), sink.values["partition.duration.ms"]
    kind = sink.values["partitioner.class"]
    if kind in ("daily", "hourly"):
        path_format = delim.join(("'year'=YYYY", "'month'=MM", "'day'=dd"))
        duration = 24 * _HOUR_MS
    if kind == "hourly":
        path_format += f"{delim}'hour'=HH"
        duration = _HOUR_MS
    settings: dict[str, object] = {
        "partitioner": "time",
        "path_format": path_format.removesuffix(delim) if delim else path_format,
        "duration_ms": duration,
        "locale": sink.text("locale"),
        "timezone": sink.text("timezone"),
        "extractor": sink.values["timestamp.extractor"],
    }
    if settings["extractor"] == "recordfield":
        settings["timestamp_field"] = sink.text("timestamp.field")
    return settings


def _check_together(sink: Checked, layout: Layout) -> None:
    """Rules over several properties that have nothing to do with time."""
    if bool(sink.values["topics"]) == sink.given("topics.regex"):
        sink.refuse("topics", "either topics or topics.regex")
    whole = sink.text("store.url").startswith(("file:", "s3:", "memory:"))
    if not whole and not sink.given("s3.bucket.name"):
        sink.refuse("s3.bucket.name", "a bucket, or store.url=file:///a/directory")
    for name in ("directory.delim", "file.delim"):
        if not sink.values[name]:
            sink.refuse(name, "at least one character")
    if layout.format == "bytes" and layout.converter != "bytes":
        sink.refuse("value.converter", "the ByteArrayConverter, as ByteArrayFormat needs it")
    schemaless = layout.converter == "json" and not layout.schemas_enable
    if sink.values["json.compat"] == "preserve" and not schemaless:
        want = "java; preserve is for JsonConverter with value.converter.schemas.enable=false"
        sink.refuse("json.compat", want)
    if layout.compression == "none":
        sink.warn("s3.compression.level", "has no effect with s3.compression.type=none")
    if layout.converter == "json" and layout.schemas_enable:
        text = "a change of the records' schema does not roll a file here, in Java it does"
        sink.warn("schema.compatibility", text)


def _check_time(sink: Checked, layout: Layout) -> None:
    """Rules over zone and rotation, whatever the partitioner."""
    scheduled = sink.values["rotate.schedule.interval.ms"]
    if isinstance(scheduled, int) and scheduled > 0 and not sink.given("timezone"):
        sink.refuse("timezone", "a time zone, as rotate.schedule.interval.ms is set")
    if sink.given("timezone"):
        try:
            joda.zone(sink.text("timezone"))
        except MisuseError as error:
            sink.blame("timezone", error)
            return
    if layout.partitioner == "time":
        _check_time_partitioner(sink, layout)
        return
    for name in _TIME_KEYS:
        if name in sink.entries:
            notice = Notice("inert", sink.entries[name], "only time partitioners use it")
            sink.notices.append(notice)
    sink.warn("rotate.interval.ms", "has no effect without a time partitioner")


def _check_time_partitioner(sink: Checked, layout: Layout) -> None:
    if layout.duration_ms <= 0:
        sink.refuse("partition.duration.ms", "at least 1 ms, as the time partitioner needs it")
    if layout.extractor == "recordfield" and layout.converter != "json":
        sink.refuse("timestamp.extractor", "Wallclock or Record: only JSON values have fields")
    required = {
        "path.format": layout.path_format,
        "locale": layout.locale,
        "timezone": layout.timezone,
    }
    missing = [name for name, value in required.items() if not value]
    for name in missing:
        sink.refuse(name, "a value, as the time partitioner needs it")
    if missing:
        return
    try:
        joda.Pattern(layout.path_format, joda.zone(layout.timezone), layout.locale)
    except MisuseError as error:
        sink.blame("path.format", error)
        return
    unit_ms = _finest_ms(layout.path_format)
    if "partition.duration.ms" in sink.entries and unit_ms % max(layout.duration_ms, 1) == 0:
        text = "path.format shows no unit shorter than it, so it changes nothing"
        notice = Notice("inert", sink.entries["partition.duration.ms"], text)
        sink.notices.append(notice)


def _finest_ms(pattern: str) -> int:
    """The shortest unit that a pattern shows, at most a day."""
    shown = {text[0] for literal, text in joda.tokens(pattern) if not literal}
    for letters, unit_ms in (("S", 1), ("s", 1_000), ("m", 60_000), ("HhKk", _HOUR_MS)):
        if shown & set(letters):
            return unit_ms
    return 12 * _HOUR_MS if "a" in shown else 24 * _HOUR_MS


def _consumer(base: Checked, sink: Checked) -> dict[str, str]:
    """The consumer's properties: the worker's, overridden by the connector's."""
    properties: dict[str, str] = {}
    for checked, prefix in ((base, _WORKER_PREFIX), (sink, _CONNECTOR_PREFIX)):
        for name, entry in checked.entries.items():
            if not name.startswith(prefix):
                continue
            if checked is sink and base.values["connector.client.config.override.policy"] == "None":
                want = "nothing: connector.client.config.override.policy=None forbids it"
                sink.errors.append(refusal(entry, want))
            short, value = name.removeprefix(prefix), entry.value.strip()
            if short == "enable.auto.commit" and value.lower() != "false":
                want = "false: offsets are committed by flushes"
                checked.errors.append(refusal(entry, want))
            if short == "auto.offset.reset" and value != "earliest":
                text = "records from before the first start are never backed up"
                checked.notices.append(Notice("warning", entry, text))
            properties[short] = value
    return properties
