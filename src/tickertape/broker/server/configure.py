"""From a checked ``server.properties`` to what the server is built with.

Where Kafka has several names for one thing, the finer one wins: log.retention.ms over .minutes over
.hours, log.roll.ms over .hours, log.dirs over log.dir, node.id over broker.id, listeners over
host.name and port.
"""

from collections.abc import Iterable
from typing import Final, cast

from tickertape.base.errors import MisuseError
from tickertape.broker.server.limits import Limits
from tickertape.broker.server.listeners import configured_listeners
from tickertape.broker.server.server import ServerSettings
from tickertape.broker.state.settings import BrokerSettings, FsyncMode
from tickertape.config.broker import KEYS, PREFIXES
from tickertape.config.keys import Checked, check
from tickertape.config.properties import Entry
from tickertape.log.config import LogConfig

_HOUR_MS: Final = 3_600_000


def configure(
    entries: Iterable[Entry], source: str, default_data_dir: str, port: int | None = None
) -> tuple[ServerSettings, Checked]:
    """Settings, and what the user should be told. MisuseError lists every bad line.

    ``port`` wins over the file's, also where the file advertises that port.
    """
    checked = check(entries, source, KEYS, PREFIXES)
    _raise(checked)
    listeners = configured_listeners(checked, port)
    _check_together(checked)
    _raise(checked)
    settings = ServerSettings(
        data_dir=_data_dir(checked, default_data_dir),
        broker=_broker(checked),
        listeners=listeners,
        limits=Limits(
            frame_bytes_max=checked.number("socket.request.max.bytes"),
            connections_max=checked.number("max.connections"),
            queued_bytes_max=checked.number("queued.max.request.bytes"),
            connections_per_ip_max=checked.number("max.connections.per.ip"),
            connections_per_ip=cast(
                dict[str, int], checked.values["max.connections.per.ip.overrides"]
            ),
            idle_ms_max=checked.number("connections.max.idle.ms"),
        ),
        flush_interval_ms=checked.number("log.flush.interval.ms"),
        metrics=_metrics(checked),
    )
    return settings, checked


def _raise(checked: Checked) -> None:
    if checked.errors:
        raise MisuseError("\n".join(checked.errors))


def _metrics(checked: Checked) -> tuple[str, int] | None:
    port = checked.number("tape.metrics.port")
    return (checked.text("tape.metrics.host"), port) if port >= 0 else None


def _check_together(checked: Checked) -> None:
    shortest = checked.number("group.min.session.timeout.ms")
    if shortest > checked.number("group.max.session.timeout.ms"):
        checked.refuse("group.min.session.timeout.ms", "at most group.max.session.timeout.ms")
    _check_consumer_groups(checked)
    for name in ("log.dirs", "log.dir"):
        if checked.given(name) and len(cast(tuple[str, ...], checked.values[name])) > 1:
            checked.refuse(name, "one folder: this broker keeps all partitions together")
    if checked.given("log.flush.interval.ms") and checked.text("tape.fsync") != "interval":
        checked.warn("log.flush.interval.ms", "matters with --fsync interval only")


def _check_consumer_groups(checked: Checked) -> None:
    for what in ("session.timeout.ms", "heartbeat.interval.ms"):
        name = f"group.consumer.{what}"
        least, most = f"group.consumer.min.{what}", f"group.consumer.max.{what}"
        if not checked.number(least) <= checked.number(name) <= checked.number(most):
            checked.refuse(name, f"from {least} to {most}")
    unknown = set(cast(tuple[str, ...], checked.values["group.consumer.assignors"])) - {
        "uniform",
        "range",
    }
    if unknown or not checked.values["group.consumer.assignors"]:
        checked.refuse("group.consumer.assignors", "uniform, range or both")


def _data_dir(checked: Checked, default: str) -> str:
    for name in ("log.dirs", "log.dir"):
        folders = cast(tuple[str, ...], checked.values[name])
        if folders:
            return folders[0]
    return default


def _broker(checked: Checked) -> BrokerSettings:
    return BrokerSettings(
        node_id=_node_id(checked),
        rack=checked.text("broker.rack") or None,
        fsync=cast(FsyncMode, checked.text("tape.fsync")),
        log=_log(checked),
        num_partitions=checked.number("num.partitions"),
        num_recovery_threads_per_data_dir=checked.number("num.recovery.threads.per.data.dir"),
        auto_create_topics_enable=checked.flag("auto.create.topics.enable"),
        log_retention_check_interval_ms=checked.number("log.retention.check.interval.ms"),
        fetch_max_bytes=checked.number("fetch.max.bytes"),
        group_initial_rebalance_delay_ms=checked.number("group.initial.rebalance.delay.ms"),
        group_min_session_timeout_ms=checked.number("group.min.session.timeout.ms"),
        group_max_session_timeout_ms=checked.number("group.max.session.timeout.ms"),
        group_max_size=checked.number("group.max.size"),
        group_consumer_session_timeout_ms=checked.number("group.consumer.session.timeout.ms"),
        group_consumer_min_session_timeout_ms=checked.number(
            "group.consumer.min.session.timeout.ms"
        ),
        group_consumer_max_session_timeout_ms=checked.number(
            "group.consumer.max.session.timeout.ms"
        ),
        group_consumer_heartbeat_interval_ms=checked.number("group.consumer.heartbeat.interval.ms"),
        group_consumer_min_heartbeat_interval_ms=checked.number(
            "group.consumer.min.heartbeat.interval.ms"
        ),
        group_consumer_max_heartbeat_interval_ms=checked.number(
            "group.consumer.max.heartbeat.interval.ms"
        ),
        group_consumer_max_size=checked.number("group.consumer.max.size"),
        group_consumer_assignors=cast(tuple[str, ...], checked.values["group.consumer.assignors"]),
        offsets_topic_num_partitions=checked.number("offsets.topic.num.partitions"),
        offsets_topic_segment_bytes=checked.number("offsets.topic.segment.bytes"),
        offsets_retention_minutes=checked.number("offsets.retention.minutes"),
        offsets_retention_check_interval_ms=checked.number("offsets.retention.check.interval.ms"),
        offset_metadata_max_bytes=checked.number("offset.metadata.max.bytes"),
        offsets_commit_timeout_ms=checked.number("offsets.commit.timeout.ms"),
        transaction_max_timeout_ms=checked.number("transaction.max.timeout.ms"),
        transactional_id_expiration_ms=checked.number("transactional.id.expiration.ms"),
        transactional_id_check_interval_ms=checked.number(
            "transaction.remove.expired.transaction.cleanup.interval.ms"
        ),
        transaction_state_log_num_partitions=checked.number("transaction.state.log.num.partitions"),
        transaction_state_log_segment_bytes=checked.number("transaction.state.log.segment.bytes"),
        delete_topic_enable=checked.flag("delete.topic.enable"),
        log_cleaner_enable=checked.flag("log.cleaner.enable"),
        log_cleaner_backoff_ms=checked.number("log.cleaner.backoff.ms"),
        log_cleaner_min_cleanable_ratio=cast(
            float, checked.values["log.cleaner.min.cleanable.ratio"]
        ),
        authorizer_class_name=checked.text("authorizer.class.name"),
        super_users=cast(tuple[str, ...], checked.values["super.users"]),
        allow_everyone_if_no_acl_found=checked.flag("allow.everyone.if.no.acl.found"),
        given={name: entry.value.strip() for name, entry in checked.entries.items()},
    )


def _log(checked: Checked) -> LogConfig:
    return LogConfig(
        segment_bytes=checked.number("log.segment.bytes"),
        segment_ms=_first(checked, ("log.roll.ms", 1), ("log.roll.hours", _HOUR_MS)),
        retention_ms=_first(
            checked,
            ("log.retention.ms", 1),
            ("log.retention.minutes", 60_000),
            ("log.retention.hours", _HOUR_MS),
        ),
        retention_bytes=checked.number("log.retention.bytes"),
        index_interval_bytes=checked.number("log.index.interval.bytes"),
        max_message_bytes=checked.number("message.max.bytes"),
        cleanup_policy=cast(frozenset[str], checked.values["log.cleanup.policy"]),
        message_timestamp_type=checked.text("log.message.timestamp.type"),
        message_timestamp_before_max_ms=checked.number("log.message.timestamp.before.max.ms"),
        message_timestamp_after_max_ms=checked.number("log.message.timestamp.after.max.ms"),
        delete_retention_ms=checked.number("log.cleaner.delete.retention.ms"),
        min_cleanable_dirty_ratio=cast(float, checked.values["log.cleaner.min.cleanable.ratio"]),
        min_compaction_lag_ms=checked.number("log.cleaner.min.compaction.lag.ms"),
        max_compaction_lag_ms=checked.number("log.cleaner.max.compaction.lag.ms"),
        dedupe_buffer_bytes=checked.number("log.cleaner.dedupe.buffer.size"),
        segment_jitter_ms=_first(
            checked, ("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", _HOUR_MS)
        ),
        segment_index_bytes=checked.number("log.index.size.max.bytes"),
        compression_type=checked.text("compression.type"),
        compression_gzip_level=checked.number("compression.gzip.level"),
        compression_zstd_level=checked.number("compression.zstd.level"),
        producer_id_expiration_ms=checked.number("producer.id.expiration.ms"),
    )


def _first(checked: Checked, *names: tuple[str, int]) -> int:
    """The first of the keys that has a value, in ms; -1 stays -1: no limit."""
    for name, unit_ms in names:
        value = checked.values[name]
        if isinstance(value, int):
            return value * unit_ms if value >= 0 else -1
    raise AssertionError(names)  # the last one has a default


def _node_id(checked: Checked) -> int:
    for name in ("node.id", "broker.id"):
        value = checked.values[name]
        if isinstance(value, int) and value >= 0:
            return value
    return 1  # Kafka makes up an id from 1001 on for broker.id=-1; one node needs no such care
