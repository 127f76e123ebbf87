import pytest

from tickertape.base.errors import MisuseError
from tickertape.config.properties import read_properties
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.load import load_settings
from tickertape.connect.s3.report import start_report
from tickertape.connect.s3.settings import SinkSettings

# The two files of the notebook (steps 13.1 and 13.4), to the letter.
WORKER = """\
# Kafka broker IP addresses to connect to
bootstrap.servers=localhost:9092

# Path to directory containing the connector jar and dependencies
plugin.path=/home/ubuntu/kafka_2.12-2.2.0/plugins

# Converters to use to convert keys and values
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter

# The internal converters Kafka Connect uses for storing offset and configuration data
internal.key.converter=org.apache.kafka.connect.json.JsonConverter
internal.value.converter=org.apache.kafka.connect.json.JsonConverter
internal.key.converter.schemas.enable=false
internal.value.converter.schemas.enable=false
offset.storage.file.filename=/tmp/connect.offsets
"""
SINK = """\
name=s3-sink
connector.class=io.confluent.connect.s3.S3SinkConnector
tasks.max=1
topics=mytopic
s3.region=ap-northeast-2
s3.bucket.name=kafkamytopictest
s3.compression.type=gzip
s3.part.size=5242880
flush.size=3
storage.class=io.confluent.connect.s3.storage.S3Storage
format.class=io.confluent.connect.s3.format.json.JsonFormat
schema.generator.class=io.confluent.connect.storage.hive.schema.DefaultSchemaGenerator
partitioner.class=io.confluent.connect.storage.partitioner.TimeBasedPartitioner
partition.duration.ms=3600000
path.format=YYYY-MM-dd
locale=KR
timezone=UTC
schema.compatibility=NONE
"""
PLAIN = """\
name=p
connector.class=S3SinkConnector
topics=a, b
s3.bucket.name=bucket
flush.size=10
format.class=io.confluent.connect.s3.format.json.JsonFormat
value.converter=org.apache.kafka.connect.json.JsonConverter
"""
PARTITIONER = "partitioner.class=io.confluent.connect.storage.partitioner."
DAILY = f"{PARTITIONER}DailyPartitioner\nlocale=en\ntimezone=UTC\n"
STRING_CONVERTER = "value.converter=org.apache.kafka.connect.storage.StringConverter"
JSON_CONVERTER = "value.converter=org.apache.kafka.connect.json.JsonConverter\n"


def load(sink: str, worker: str = "") -> SinkSettings:
    return load_settings(
        read_properties(worker.encode(), "w.properties"),
        read_properties(sink.encode(), "s.properties"),
    )


def errors(sink: str, worker: str = "") -> list[str]:
    with pytest.raises(MisuseError) as caught:
        load(sink, worker)
    return str(caught.value).split("\n")


def notices(settings: SinkSettings, kind: str) -> dict[str, str]:
    return {n.entry.key: n.text for n in settings.notices if n.kind == kind}


def test_the_notebooks_files_load_unchanged() -> None:
    settings = load(SINK, WORKER)
    assert settings.layout == Layout(
        compression="gzip",
        partitioner="time",
        path_format="YYYY-MM-dd",
        duration_ms=3_600_000,
        locale="KR",
        timezone="UTC",
    )
    assert (settings.name, settings.topics, settings.flush_size) == ("s3-sink", ("mytopic",), 3)
    assert (settings.bucket, settings.region) == ("kafkamytopictest", "ap-northeast-2")
    assert settings.group_id == "connect-s3-sink"
    assert settings.isolation_level == "read_committed"
    assert settings.flush_idle_ms == 60_000
    assert notices(settings, "warning") == {}
    assert notices(settings, "inert").keys() == {
        "key.converter", "plugin.path", "offset.storage.file.filename", "internal.key.converter",
        "internal.value.converter", "internal.key.converter.schemas.enable",
        "internal.value.converter.schemas.enable", "s3.part.size", "schema.generator.class",
        "partition.duration.ms", "schema.compatibility",
    }  # fmt: skip


def test_the_report_says_what_the_notebooks_files_really_do() -> None:
    report = "\n".join(start_report(load(SINK, WORKER), "s3://kafkamytopictest"))
    for words in (
        "s3-sink: mytopic -> s3://kafkamytopictest   (group connect-s3-sink)",
        "exactly once  yes",
        "Confluent's connector is not with this file: its directories follow the clock",
        "every 3 records of a partition",
        "tail after 1 min (flush.idle.ms=60000",
        "YYYY-MM-dd in UTC, by the time of processing",
        '{"a":1} becomes "{\\"a\\":1}"',
        "keys, headers, timestamps; a null value stops the task",
        "read_committed: aborted transactions are left out (Connect's default stores them",
        "KR is no language",
        "plugin.path: connectors are built in",
    ):
        assert words in report


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("flush.idle.ms=-1", "STRANDED"),
        ("flush.idle.ms=-1\nrotate.schedule.interval.ms=600000\ntimezone=UTC", "next scheduled"),
        ("rotate.schedule.interval.ms=600000\ntimezone=UTC", "cuts a replay elsewhere"),
        ("behavior.on.null.values=ignore", "listed in the manifest"),
        ("value.converter.schemas.enable=false", "as Java rewrites it"),
        ("value.converter.schemas.enable=false\njson.compat=preserve", "JSON as it came"),
        ("value.converter.schemas.enable=true", "order of its schema"),
        (f"{DAILY}timestamp.extractor=Record\nrotate.interval.ms=60000", "every 1 min of record"),
        (f"{DAILY}timestamp.extractor=RecordField", "by the field timestamp"),
        ("colour=blue", "s.properties:8: colour: unknown property, ignored"),
    ],
)  # fmt: skip
def test_the_report_follows_the_settings(lines: str, words: str) -> None:
    assert words in "\n".join(start_report(load(PLAIN + lines), "file:///lake"))


def test_an_isolation_level_in_the_file_is_kept_and_reported() -> None:
    settings = load(PLAIN + "consumer.override.isolation.level=read_uncommitted")
    assert settings.isolation_level == "read_uncommitted"
    assert "aborted transactions are stored too" in "\n".join(start_report(settings, "file:///l"))


def test_nothing_is_said_against_confluent_where_its_connector_is_exact() -> None:
    assert "Confluent's connector is not" not in "\n".join(start_report(load(PLAIN), "file:///l"))


def test_the_workers_converter_brings_the_workers_settings_for_it() -> None:
    bare = PLAIN.replace(JSON_CONVERTER, "")
    worker = f"{JSON_CONVERTER}value.converter.schemas.enable=false\n"
    assert load(bare, worker).layout.schemas_enable is False
    # A converter in the connector's file ignores the worker's settings, as Connect does.
    assert load(PLAIN, worker).layout.schemas_enable is True
    assert any("value.converter: got nothing" in line for line in errors(bare))


def test_consumer_properties_of_the_connector_override_the_workers() -> None:
    settings = load(
        PLAIN + "consumer.override.max.poll.records=7\nconsumer.override.group.id=g",
        "consumer.max.poll.records=5\nconsumer.fetch.min.bytes=9\nbootstrap.servers=h:1\n",
    )
    assert settings.consumer == {"max.poll.records": "7", "fetch.min.bytes": "9", "group.id": "g"}
    assert settings.group_id == "g"
    assert settings.bootstrap_servers == "h:1"


def test_a_directory_store_needs_no_bucket() -> None:
    settings = load(PLAIN.replace("s3.bucket.name=bucket", "store.url=file:///lake"))
    assert (settings.store_url, settings.bucket) == ("file:///lake", None)


def test_daily_and_hourly_are_time_with_a_fixed_pattern() -> None:
    common = "\nlocale=en\ntimezone=Asia/Seoul\npath.format=ignored"
    daily = load(f"{PLAIN}{PARTITIONER}DailyPartitioner{common}").layout
    hourly = load(f"{PLAIN}{PARTITIONER}HourlyPartitioner{common}").layout
    assert (daily.path_format, daily.duration_ms) == ("'year'=YYYY/'month'=MM/'day'=dd", 86_400_000)
    assert hourly.path_format == "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH"
    assert hourly.duration_ms == 3_600_000


def test_settings_without_effect_do_not_change_the_fingerprint() -> None:
    plain = load(PLAIN).config_hash()
    for lines in ("s3.compression.level=3", "path.format=YYYY", "flush.size=99", "timezone=UTC"):
        assert load(PLAIN + lines).config_hash() == plain
    for lines in ("s3.compression.type=gzip", "topics.dir=x", "behavior.on.null.values=ignore"):
        assert load(PLAIN + lines).config_hash() != plain


@pytest.mark.parametrize(
    ("lines", "want"),
    [
        ("flush.size=0", "s.properties:8: flush.size: got '0', want a whole number from 1 to"),
        ("flush.size=many", "got 'many', want a whole number"),
        ("connector.class=Foo", "connector.class: got 'Foo', want one of io.confluent"),
        ("format.class=io.confluent.connect.s3.format.avro.AvroFormat", "not supported yet"),
        ("value.converter=io.confluent.connect.avro.AvroConverter", "not supported yet"),
        (f"{PARTITIONER}FieldPartitioner", "not supported yet"),
        ("store.kafka.keys=true", "got 'true', want false: objects for keys and headers"),
        ("transforms=route", "got 'route', want no value: transforms are not supported yet"),
        ("errors.tolerance=all", "records would be skipped"),
        ("errors.deadletterqueue.topic.name=dlq", "no dead-letter queue"),
        ("behavior.on.null.values=write", "want one of fail, ignore"),
        ("s3.ssea.name=AES256", "server-side encryption"),
        ("s3.wan.mode=true", "transfer acceleration"),
        ("s3.compression.type=zstd", "want one of none, gzip"),
        ("s3.credentials.provider.class=a.B", "s3.credentials.provider.class: got 'a.B'"),
        ("topics.regex=.*", "want either topics or topics.regex"),
        ("s3.bucket.name=", "want a bucket, or store.url=file:///"),
        ("directory.delim=", "want at least one character"),
        ("rotate.schedule.interval.ms=1000", "timezone: got nothing, want a time zone"),
        ("timezone=Mars/Phobos", "s.properties:8: timezone: got the time zone 'Mars/Phobos'"),
        (f"{PARTITIONER}TimeBasedPartitioner", "path.format: got nothing"),
        (f"{PARTITIONER}TimeBasedPartitioner\npath.format=YYYY\nlocale=en\ntimezone=UTC",
         "partition.duration.ms: got nothing, want at least 1 ms"),
        (f"{PARTITIONER}DailyPartitioner\nlocale=en", "timezone: got nothing"),
        (f"{PARTITIONER}TimeBasedPartitioner\npath.format=YYYYQ\nlocale=en\ntimezone=UTC",
         "s.properties:9: path.format: path format 'YYYYQ': got 'Q'"),
        (f"{DAILY}timestamp.extractor=RecordField\n{STRING_CONVERTER}", "only JSON values"),
        ("timestamp.extractor=com.example.Mine", "timestamp.extractor: got"),
        ("format.class=io.confluent.connect.s3.format.bytearray.ByteArrayFormat",
         "want the ByteArrayConverter"),
        ("json.compat=preserve", "preserve is for JsonConverter"),
        ("consumer.override.enable.auto.commit=true", "offsets are committed by flushes"),
        ("value.converter.replace.null.with.default=false", "keeping nulls"),
        ("partitioner.max.open.files=5", "not supported yet"),
        ("s3.schema.partition.affix.type=PREFIX", "not supported yet"),
    ],
)  # fmt: skip
def test_what_would_change_bytes_names_or_safety_is_refused(lines: str, want: str) -> None:
    assert any(want in line for line in errors(PLAIN + lines)), errors(PLAIN + lines)


def test_all_errors_of_both_files_come_at_once() -> None:
    found = errors("name=x\nflush.size=-1\ntopics=t", "config.providers=file\n")
    assert {line.split(": ")[1] for line in found} >= {
        "config.providers", "flush.size", "connector.class", "format.class", "s3.bucket.name",
    }  # fmt: skip


def test_the_override_policy_is_kept() -> None:
    line = "consumer.override.fetch.min.bytes=1"
    policy = "connector.client.config.override.policy=None\n"
    assert any("override.policy=None forbids it" in text for text in errors(PLAIN + line, policy))


def test_secrets_are_in_no_message_report_or_repr() -> None:
    secret = "hunter2"
    lines = (
        f"aws.access.key.id={secret}\naws.secret.access.key={secret}\ns3.sse.customer.key={secret}\n"
        f"s3.proxy.password={secret}\nconsumer.override.sasl.jaas.config={secret}\n"
    )
    assert secret not in "\n".join(errors(PLAIN + lines))
    settings = load(PLAIN + lines.replace(f"s3.sse.customer.key={secret}\n", ""))
    assert settings.secret_access_key == secret
    assert secret not in "\n".join(start_report(settings, "s3://b"))
    assert secret not in repr(settings)


@pytest.mark.parametrize(
    ("lines", "key", "text"),
    [
        ("flush.sise=3", "flush.sise", "did you mean flush.size?"),
        ("quux=3", "quux", "unknown property, ignored"),
        ("topics=c\ntopics=d", "topics", "sets it again and wins"),
        ("rotate.interval.ms=5", "rotate.interval.ms", "no effect without a time partitioner"),
        ("s3.compression.level=5", "s3.compression.level", "no effect"),
        ("consumer.override.auto.offset.reset=latest", "consumer.override.auto.offset.reset",
         "never backed up"),
    ],
)  # fmt: skip
def test_doubtful_lines_are_warned_about(lines: str, key: str, text: str) -> None:
    assert text in notices(load(PLAIN + lines), "warning")[key]


@pytest.mark.parametrize(
    ("pattern", "duration", "inert"),
    [
        ("YYYY-MM-dd", 3_600_000, True),
        ("YYYY-MM-dd", 86_400_000, True),
        ("YYYY-MM-dd", 7 * 3_600_000, False),
        ("YYYY-MM-dd/HH", 3_600_000, True),
        ("YYYY-MM-dd/HH", 7_200_000, False),
        ("YYYY-MM-dd/HH-mm", 3_600_000, False),
        ("'HH'YYYY", 3_600_000, True),
    ],
)
def test_a_duration_that_the_pattern_hides_is_reported(
    pattern: str,
    duration: int,
    inert: bool,  # noqa: FBT001  # parametrized
) -> None:
    lines = (
        f"{PARTITIONER}TimeBasedPartitioner\nlocale=KR\ntimezone=UTC\n"
        f"path.format={pattern}\npartition.duration.ms={duration}"
    )
    found = notices(load(PLAIN + lines), "inert")
    assert ("partition.duration.ms" in found) is inert
