"""The keys of an S3 sink connector's properties file, with Confluent's names and defaults.

Sources of names, defaults and ranges: Kafka's ConnectorConfig and SinkConnectorConfig, and the
public documentation of Confluent's S3 sink. Two keys are ours: ``json.compat``, ``flush.idle.ms``.
"""

from typing import Final

from tickertape.config.keys import (
    Key,
    boolean,
    choice,
    class_of,
    integer,
    text,
    untrimmed,
    words,
)

_LONG: Final = (1 << 63) - 1
_KAFKA: Final = "org.apache.kafka.connect."
_CONFLUENT: Final = "io.confluent.connect."

CONVERTER: Final = class_of(
    {
        f"{_KAFKA}storage.StringConverter": "string",
        f"{_KAFKA}json.JsonConverter": "json",
        f"{_KAFKA}converters.ByteArrayConverter": "bytes",
    },
    (
        "io.confluent.connect.avro.AvroConverter",
        "io.confluent.connect.json.JsonSchemaConverter",
        "io.confluent.connect.protobuf.ProtobufConverter",
    ),
)
_FORMATS: Final = class_of(
    {
        f"{_CONFLUENT}s3.format.json.JsonFormat": "json",
        f"{_CONFLUENT}s3.format.bytearray.ByteArrayFormat": "bytes",
    },
    (
        f"{_CONFLUENT}s3.format.avro.AvroFormat",
        f"{_CONFLUENT}s3.format.parquet.ParquetFormat",
    ),
)
_PARTITIONERS: Final = class_of(
    {
        f"{_CONFLUENT}storage.partitioner.DefaultPartitioner": "default",
        f"{_CONFLUENT}storage.partitioner.TimeBasedPartitioner": "time",
        f"{_CONFLUENT}storage.partitioner.DailyPartitioner": "daily",
        f"{_CONFLUENT}storage.partitioner.HourlyPartitioner": "hourly",
    },
    (f"{_CONFLUENT}storage.partitioner.FieldPartitioner",),
)
_CONNECTORS: Final = class_of(
    {f"{_CONFLUENT}s3.S3SinkConnector": "s3", "S3SinkConnector": "s3", "S3Sink": "s3"}
)
_EXTRACTOR: Final = f"{_CONFLUENT}storage.partitioner.TimeBasedPartitioner$"
_EXTRACTORS: Final = class_of(
    {
        "Wallclock": "wallclock",
        "Record": "record",
        "RecordField": "recordfield",
        f"{_EXTRACTOR}WallclockTimestampExtractor": "wallclock",
        f"{_EXTRACTOR}RecordTimestampExtractor": "record",
        f"{_EXTRACTOR}RecordFieldTimestampExtractor": "recordfield",
    }
)

_AVRO: Final = "only Avro and Parquet objects use it"
_HIVE: Final = "only Hive integration uses it, which the S3 sink does not have"
_KEYS_INERT: Final = "keys are not stored in objects"
_HEADERS_INERT: Final = "headers are not stored in objects"
_WHOLE: Final = "an object is put in one request"
_DLQ: Final = "no dead-letter queue is supported"
_SIDECARS: Final = "objects for keys and headers are not supported yet"
_ENCRYPTION: Final = "server-side encryption settings are not supported yet"
_SMT: Final = "transforms are not supported yet"
_STOPS: Final = "the first record that cannot be converted stops the task"

_INERT: Final = {
    "schema.generator.class": _HIVE,
    "s3.part.size": _WHOLE,
    "s3.send.digest": "every put carries a checksum",
    "s3.elastic.buffer.enable": "memory grows with the records that are buffered",
    "s3.elastic.buffer.init.capacity": "memory grows with the records that are buffered",
    "s3.http.send.expect.continue": _WHOLE,
    "s3.object.tagging.key.value.pairs": "objects are not tagged",
    "s3.object.behavior.on.tagging.error": "objects are not tagged",
    "s3.proxy.user": "no proxy is used",
    "s3.proxy.password": "no proxy is used",
    "enable.conditional.writes": "every put is conditional",
    "max.write.duration.ms": "a late worker is fenced by its group membership",
    "max.files.scan.limit": "no object is looked up by listing",
    "shutdown.timeout.ms": "Confluent's S3 sink does not use it either",
    "schemas.cache.config": _AVRO,
    "schemas.cache.size": _AVRO,
    "enhanced.avro.schema.support": _AVRO,
    "connect.meta.data": _AVRO,
    "allow.optional.map.keys": _AVRO,
    "avro.codec": _AVRO,
    "parquet.codec": _AVRO,
    "partition.field.name": "only the FieldPartitioner uses it",
    "header.converter": _HEADERS_INERT,
    "keys.format.class": _KEYS_INERT,
    "headers.format.class": _HEADERS_INERT,
    "report.null.values.to.dlq": _DLQ,
    "tombstone.encoded.partition": "null values are never written",
    "tasks.max.enforce": "tasks.max is always kept",
    "config.action.reload": "no configuration provider is supported",
    "errors.retry.timeout": "conversion does not depend on anything that could be retried",
    "errors.retry.delay.max.ms": "conversion does not depend on anything that could be retried",
    "errors.log.enable": _STOPS,
    "errors.log.include.messages": _STOPS,
}

_REFUSED: Final = {
    "transforms": _SMT,
    "predicates": _SMT,
    "errors.deadletterqueue.topic.name": _DLQ,
    "s3.ssea.name": _ENCRYPTION,
    "s3.sse.customer.key": _ENCRYPTION,
    "s3.sse.kms.key.id": _ENCRYPTION,
    "s3.acl.canned": "canned ACLs are not supported yet",
    "s3.proxy.url": "proxies are not supported yet",
}

_OFF: Final = {
    "store.kafka.keys": _SIDECARS,
    "store.kafka.headers": _SIDECARS,
    "s3.object.tagging": "object tags are not supported yet",
    "s3.wan.mode": "transfer acceleration is not supported yet",
}

KEYS: Final = (
    Key(name="name", parse=text, required=True),
    Key(name="connector.class", parse=_CONNECTORS, required=True),
    Key(name="tasks.max", parse=integer(1), default=1),
    Key(name="topics", parse=words, default=()),
    Key(name="topics.regex", parse=text, default=""),
    Key(name="key.converter", parse=CONVERTER, inert=_KEYS_INERT),
    Key(name="value.converter", parse=CONVERTER),
    Key(name="format.class", parse=_FORMATS, required=True),
    Key(name="flush.size", parse=integer(1), required=True),
    Key(name="rotate.interval.ms", parse=integer(-1, _LONG), default=-1),
    Key(name="rotate.schedule.interval.ms", parse=integer(-1, _LONG), default=-1),
    Key(name="rotate.file.on.partition.change", parse=boolean, default=True),
    Key(name="flush.idle.ms", parse=integer(-1, _LONG), default=60_000),
    Key(
        name="schema.compatibility",
        parse=choice("NONE", "BACKWARD", "FORWARD", "FULL"),
        default="NONE",
        inert="no change of schema rolls a file; records without a schema never did",
    ),
    Key(name="filename.offset.zero.pad.width", parse=integer(0), default=10),
    Key(
        name="storage.class",
        parse=class_of({f"{_CONFLUENT}s3.storage.S3Storage": "s3"}),
        default="s3",
    ),
    Key(name="topics.dir", parse=text, default="topics"),
    Key(name="store.url", parse=text, default=""),
    Key(name="directory.delim", parse=text, default="/"),
    Key(name="file.delim", parse=text, default="+"),
    Key(name="partitioner.class", parse=_PARTITIONERS, default="default"),
    Key(name="partition.duration.ms", parse=integer(-1, _LONG), default=-1),
    Key(name="path.format", parse=text, default=""),
    Key(name="locale", parse=text, default=""),
    Key(name="timezone", parse=text, default=""),
    Key(name="timestamp.extractor", parse=_EXTRACTORS, default="wallclock"),
    Key(name="timestamp.field", parse=text, default="timestamp"),
    Key(name="s3.bucket.name", parse=text, default=""),
    Key(name="s3.region", parse=text, default="us-west-2"),
    Key(name="s3.compression.type", parse=choice("none", "gzip", fold=True), default="none"),
    Key(name="s3.compression.level", parse=integer(-1, 9), default=-1),
    Key(name="s3.part.retries", parse=integer(0), default=3),
    Key(
        name="s3.retry.backoff.ms",
        parse=integer(1, _LONG),
        default=200,
        inert="attempts are spaced by a schedule of our own",
    ),
    Key(name="retry.backoff.ms", parse=integer(0, _LONG), default=5_000),
    Key(name="s3.path.style.access.enabled", parse=boolean, default=True),
    Key(name="aws.access.key.id", parse=text, default=""),
    Key(name="aws.secret.access.key", parse=text, default=""),
    Key(
        name="s3.credentials.provider.class",
        parse=class_of(
            {
                "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider": "chain",
                "com.amazonaws.auth.DefaultAWSCredentialsProviderChain": "chain",
            },
            (f"{_CONFLUENT}s3.auth.AwsAssumeRoleCredentialsProvider",),
        ),
        default="chain",
    ),
    Key(
        name="behavior.on.null.values",
        parse=choice("fail", "ignore", fold=True),
        default="fail",
    ),
    Key(name="format.bytearray.extension", parse=text, default=".bin"),
    Key(name="format.bytearray.separator", parse=untrimmed, default="\n"),
    Key(name="json.decimal.format", parse=choice("BASE64", "NUMERIC", fold=True), default="BASE64"),
    Key(name="json.compat", parse=choice("java", "preserve"), default="java"),
    Key(
        name="s3.schema.partition.affix.type",
        parse=choice("NONE", "PREFIX", "SUFFIX", fold=True),
        default="NONE",
        refused="directories by schema name are not supported yet",
    ),
    Key(
        name="partitioner.max.open.files",
        parse=integer(-1),
        default=-1,
        refused="a limit of open files is not supported yet",
    ),
    Key(
        name="errors.tolerance",
        parse=choice("none", "all"),
        default="none",
        refused="records would be skipped; skipping is not supported",
    ),
    *(Key(name=name, parse=text, inert=reason) for name, reason in _INERT.items()),
    *(Key(name=name, parse=text, default="", refused=why) for name, why in _REFUSED.items()),
    *(Key(name=name, parse=boolean, default=False, refused=why) for name, why in _OFF.items()),
)

CONVERTER_PREFIXES: Final = {
    "value.converter.": "",
    "key.converter.": _KEYS_INERT,
}

PREFIXES: Final = {
    "consumer.override.": "",
    "producer.override.": "a sink has no producer",
    "admin.override.": "a sink needs no admin client",
    "header.converter.": _HEADERS_INERT,
    "hive.": _HIVE,
    "transforms.": _SMT,
    "predicates.": _SMT,
    "errors.deadletterqueue.": _DLQ,
    "s3.credentials.provider.": "only other credential providers use it",
    **CONVERTER_PREFIXES,
}

CONVERTER_KEYS: Final = (
    Key(name="value.converter.schemas.enable", parse=boolean, default=True),
    Key(
        name="value.converter.schemas.cache.size",
        parse=integer(0),
        default=1000,
        inert="schemas are remembered without a limit to set",
    ),
    Key(
        name="value.converter.decimal.format",
        parse=choice("BASE64", "NUMERIC", fold=True),
        default="BASE64",
        inert="only written decimals have a format: json.decimal.format",
    ),
    Key(
        name="value.converter.replace.null.with.default",
        parse=boolean,
        default=True,
        refused="keeping nulls where the schema has a default is not supported",
    ),
    Key(
        name="value.converter.converter.encoding",
        parse=choice("UTF-8", "UTF8", fold=True),
        default="UTF-8",
    ),
)
