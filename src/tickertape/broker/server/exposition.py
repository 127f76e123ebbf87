"""The broker's metrics as Prometheus families, under the names that people already graph.

Those of kafka_exporter (``kafka_topic_*``, ``kafka_consumergroup_*``), those that jmx_exporter's
rules make of Apache Kafka's own (``kafka_server_*``, ``kafka_network_*``, ``kafka_log_*`` ...), the
``process_*`` of every Prometheus client, and ``tape_*`` where Kafka has no such thing.
docs/operations.md lists them all.

``take`` copies the numbers on the core's thread; ``families`` makes text of them in any thread.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from tickertape.base.histogram import Histogram
from tickertape.broker.server.core_loop import CoreLoop
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.census import Census, take_census
from tickertape.broker.state.group_types import GroupState
from tickertape.broker.state.traffic import Traffic
from tickertape.broker.state.transaction import State
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode

_QUANTILES: Final = (0.5, 0.75, 0.95, 0.98, 0.99, 0.999)
_TP: Final = ("topic", "partition")
_PROCESS: Final = ProcessCollector(registry=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One API's requests; ``name`` as Kafka's metrics spell it, times in seconds."""

    name: str
    seconds: Histogram
    recent: Histogram
    errors: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Everything that a scrape shows, at one moment."""

    census: Census
    apis: list[Api]
    syncs: Histogram
    recent_syncs: Histogram
    logs_synced: int
    logs_failed: int
    connections: int
    connections_accepted: int
    connections_refused: int
    node_id: int
    labels: dict[str, str] = field(default_factory=dict)  # of tape_broker_info


def api_name(key: int) -> str:
    """``InitProducerId`` for INIT_PRODUCER_ID."""
    return "".join(word.capitalize() for word in ApiKey(key).name.split("_"))


def take(core: Broker, shell: CoreLoop, recent_syncs: Histogram, now_ms: int) -> Readings:
    """Copy the numbers. To be called where the core runs."""
    commits = shell.commits
    return Readings(
        census=take_census(core),
        apis=[
            Api(
                name=api_name(key),
                seconds=meter.seconds.copy(),
                recent=meter.recent.values(now_ms),
                errors=dict(meter.errors),
            )
            for key, meter in sorted(shell.meters.by_key.items() if shell.meters else ())
        ],
        syncs=commits.seconds.copy(),
        recent_syncs=recent_syncs,
        logs_synced=commits.logs_synced,
        logs_failed=commits.logs_failed,
        connections=shell.connections_open,
        connections_accepted=shell.connections_accepted,
        connections_refused=shell.connections_refused,
        node_id=core.settings.node_id,
        labels={
            "node_id": str(core.settings.node_id),
            "cluster_id": core.cluster_id,
            "fsync": core.settings.fsync,
        },
    )


def families(readings: Readings | None) -> Iterator[Metric]:
    """Every family; before the broker serves there are no readings, and but few families."""
    serves = readings is not None
    trouble = readings.census.troubles if readings is not None else ["starting"]
    yield _gauge("tape_broker_ready", "1 if every log takes records, as /ready says.", not trouble)
    yield from _PROCESS.collect()
    if not serves or readings is None:
        return
    census = readings.census
    info = GaugeMetricFamily("tape_broker_info", "Always 1.", labels=list(readings.labels))
    info.add_metric(list(readings.labels.values()), 1)
    yield info
    yield from _of_traffic(census)
    yield from _of_partitions(census, str(readings.node_id))
    yield from _of_cluster(census)
    yield from _of_requests(readings)
    yield from _of_disk(readings)
    yield from _of_groups(census)
    yield from _of_transactions(census)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=float(value))


def _of_traffic(census: Census) -> Iterator[Metric]:
    """As Kafka does: once for each topic, and once, without the label, for all of them."""
    kinds: tuple[tuple[str, str, Callable[[Traffic], int]], ...] = (
        ("messagesin", "Records appended by producers.", lambda one: one.records_in),
        ("bytesin", "Bytes appended by producers, as stored.", lambda one: one.bytes_in),
        ("bytesout", "Bytes of records sent to consumers.", lambda one: one.bytes_out),
    )
    for name, text, of in kinds:
        family = CounterMetricFamily(
            f"kafka_server_brokertopicmetrics_{name}", text, labels=["topic"]
        )
        total = f"{family.name}_total"
        family.add_sample(total, {}, of(census.traffic))
        for row in census.topics:
            family.add_metric([row.name], of(row.traffic))
        yield family


def _of_partitions(census: Census, node_id: str) -> Iterator[Metric]:
    by_topic = GaugeMetricFamily(
        "kafka_topic_partitions", "Partitions of the topic.", labels=["topic"]
    )
    for row in census.topics:
        by_topic.add_metric([row.name], row.partitions)
    yield by_topic
    exporter = "kafka_topic_partition"
    shown = {
        "current_offset": _tp(f"{exporter}_current_offset", "High watermark: the durable end."),
        "oldest_offset": _tp(f"{exporter}_oldest_offset", "The first offset that is there."),
        "leader": _tp(f"{exporter}_leader", "Node id of the leader."),
        "is_preferred": _tp(f"{exporter}_leader_is_preferred", "Always 1: one node."),
        "replicas": _tp(f"{exporter}_replicas", "Always 1: one node."),
        "in_sync": _tp(f"{exporter}_in_sync_replica", "1; 0 if the log has failed."),
        "under": _tp(f"{exporter}_under_replicated_partition", "1 if the log has failed."),
        "start": _tp("kafka_log_log_logstartoffset", "The first offset that is there."),
        "end": _tp("kafka_log_log_logendoffset", "The next offset, durable or not."),
        "size": _tp("kafka_log_log_size", "Bytes in the log's segments."),
        "segments": _tp("kafka_log_log_numlogsegments", "Segments of the log."),
        "under_minimum": _tp("kafka_cluster_partition_underminisr", "1 if the log has failed."),
        "stable": _tp(
            "kafka_cluster_partition_laststableoffsetlag",
            "Durable records that read_committed may not read yet.",
        ),
    }
    for one in census.partitions:
        where = [one.topic, str(one.number)]
        for name, value in (
            ("current_offset", one.durable),
            ("oldest_offset", one.start),
            ("leader", int(node_id)),
            ("is_preferred", 1),
            ("replicas", 1),
            ("in_sync", 0 if one.failed else 1),
            ("under", 1 if one.failed else 0),
            ("start", one.start),
            ("end", one.end),
            ("size", one.size),
            ("segments", one.segments),
            ("under_minimum", 1 if one.failed else 0),
            ("stable", one.durable - one.stable),
        ):
            shown[name].add_metric(where, value)
    yield from shown.values()


def _tp(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=_TP)


def _of_cluster(census: Census) -> Iterator[Metric]:
    partitions = sum(row.partitions for row in census.topics)
    failed = sum(row.failed for row in census.partitions)
    manager, controller = "kafka_server_replicamanager", "kafka_controller_kafkacontroller"
    yield _gauge("kafka_brokers", "Always 1.", 1)
    yield _gauge(f"{manager}_partitioncount", "Partitions of this broker.", partitions)
    yield _gauge(f"{manager}_leadercount", "Partitions that it leads.", partitions)
    yield _gauge(f"{manager}_underreplicatedpartitions", "Always 0: one node.", 0)
    yield _gauge(f"{manager}_offlinereplicacount", "Logs that have failed.", failed)
    yield _gauge(f"{controller}_activecontrollercount", "Always 1.", 1)
    yield _gauge(f"{controller}_offlinepartitionscount", "Logs that have failed.", failed)
    yield _gauge(f"{controller}_globaltopiccount", "Topics.", len(census.topics))
    yield _gauge(f"{controller}_globalpartitioncount", "Partitions.", partitions)


def _of_requests(readings: Readings) -> Iterator[Metric]:
    network = "kafka_network_requestmetrics"
    requests = CounterMetricFamily(f"{network}_requests", "Requests answered.", labels=["request"])
    errors = CounterMetricFamily(
        f"{network}_errors", "Error codes in answers.", labels=["request", "error"]
    )
    total_ms = GaugeMetricFamily(
        f"{network}_totaltimems",
        "From the whole request to its answer, in the last minute or two, estimated.",
        labels=["request", "quantile"],
    )
    seconds = HistogramMetricFamily(
        "tape_request_duration_seconds", "The same since the start.", labels=["request"]
    )
    for api in readings.apis:
        names = [api.name, "FetchConsumer"] if api.name == "Fetch" else [api.name]
        for name in names:  # Kafka counts a fetch under both
            requests.add_metric([name], api.seconds.count)
            for code, count in sorted(api.errors.items()):
                errors.add_metric([name, _error_name(code)], count)
            _add_quantiles(total_ms, [name], api.recent)
        _add_histogram(seconds, [api.name], api.seconds)
    yield from (requests, errors, total_ms, seconds)
    yield from _of_failures(readings.apis)
    waiting = GaugeMetricFamily(
        "kafka_server_delayedoperationpurgatory_purgatorysize",
        "Requests that wait: Produce (and commits) for the disk, Fetch for records.",
        labels=["delayedOperation"],
    )
    waiting.add_metric(["Produce"], readings.census.producing)
    waiting.add_metric(["Fetch"], readings.census.fetching)
    yield waiting
    yield _gauge(
        "kafka_server_socket_server_metrics_connection_count",
        "Open connections.",
        readings.connections,
    )
    yield _counter(
        "tape_connections_accepted", "Connections accepted.", readings.connections_accepted
    )
    yield _counter(
        "tape_connections_refused",
        "Connections refused: there were too many.",
        readings.connections_refused,
    )


def _error_name(code: int) -> str:
    try:
        return ErrorCode(code).name
    except ValueError:
        return str(code)


def _of_failures(apis: list[Api]) -> Iterator[Metric]:
    by_name = {api.name: api for api in apis}
    for name in ("Produce", "Fetch"):
        api = by_name.get(name)
        word = f"kafka_server_brokertopicmetrics_%s{name.lower()}requests"
        yield _counter(word % "total", f"{name} requests.", api.seconds.count if api else 0)
        failed = sum(api.errors.values()) if api else 0
        yield _counter(word % "failed", f"Partitions of {name} requests that failed.", failed)


def _of_disk(readings: Readings) -> Iterator[Metric]:
    flush = "kafka_log_logflushstats_logflushrateandtimems"
    quantiles = GaugeMetricFamily(
        flush, "Duration of a group commit, in the last minute or two.", labels=["quantile"]
    )
    _add_quantiles(quantiles, [], readings.recent_syncs)
    yield quantiles
    seconds = HistogramMetricFamily(
        "tape_group_commit_duration_seconds",
        "Group commits since the start: one fdatasync of each log that was written to.",
    )
    _add_histogram(seconds, [], readings.syncs)
    yield seconds
    census = readings.census
    yield _counter("tape_group_commit_logs", "Logs synced.", readings.logs_synced)
    yield _counter("tape_group_commit_logs_failed", "Syncs that failed.", readings.logs_failed)
    yield _counter(
        "tape_group_commit_requests",
        "Requests that waited for a group commit and were answered after it.",
        census.answered_by_sync,
    )
    yield _gauge("tape_logs_in_trouble", "Logs that the disk refuses.", len(census.troubles))
    yield _counter("tape_compactions", "Compactions run.", census.compactions)
    yield _counter("tape_compactions_failed", "Compactions that failed.", census.compactions_failed)
    yield _gauge("tape_compactions_pending", "Compactions planned or running.", census.compacting)


def _of_groups(census: Census) -> Iterator[Metric]:
    labels = ["consumergroup", *_TP]
    offset = GaugeMetricFamily(
        "kafka_consumergroup_current_offset", "Committed offset.", labels=labels
    )
    lag = GaugeMetricFamily(
        "kafka_consumergroup_lag", "Records from there to the durable end.", labels=labels
    )
    sums: dict[tuple[str, str], list[int]] = {}
    for row in census.offsets:
        where = [row.group, row.topic, str(row.partition)]
        offset.add_metric(where, row.offset)
        sums.setdefault((row.group, row.topic), [0, 0])[0] += row.offset
        if row.lag is not None:
            lag.add_metric(where, row.lag)
            sums[row.group, row.topic][1] += row.lag
    yield from (offset, lag)
    short = ["consumergroup", "topic"]
    for number, name in enumerate(("current_offset", "lag")):
        family = GaugeMetricFamily(
            f"kafka_consumergroup_{name}_sum", "The sum over the partitions.", labels=short
        )
        for group_and_topic, both in sums.items():
            family.add_metric(group_and_topic, both[number])
        yield family
    members = GaugeMetricFamily(
        "kafka_consumergroup_members", "Members of the group.", labels=["consumergroup"]
    )
    state = GaugeMetricFamily(
        "tape_consumergroup_state", "1 for the state it is in.", labels=["consumergroup", "state"]
    )
    for group in census.groups:
        members.add_metric([group.group], group.members)
        state.add_metric([group.group, group.state], 1)
    yield from (members, state)
    manager = "kafka_coordinator_group_groupmetadatamanager_numgroups"
    yield _gauge(manager, "Groups.", len(census.groups))
    for kind in GroupState:
        count = sum(group.state == kind for group in census.groups)
        yield _gauge(f"{manager}{kind.lower()}", f"Groups that are {kind}.", count)


def _of_transactions(census: Census) -> Iterator[Metric]:
    states = GaugeMetricFamily("tape_txn_ids", "Transactional ids by state.", labels=["state"])
    for state in State:
        states.add_metric([state.name], census.transactions.get(state.name, 0))
    yield states
    yield _gauge("tape_txn_open", "Transactions begun and not decided.", census.transactions_open)
    yield _gauge(
        "tape_txn_oldest_age_seconds",
        "How long the oldest of them has been open.",
        census.transaction_oldest_ms / 1000,
    )


def _add_quantiles(family: GaugeMetricFamily, labels: list[str], of: Histogram) -> None:
    for share in _QUANTILES:
        value = of.quantile(share)
        if value is not None:
            family.add_metric([*labels, str(share)], round(value * 1000, 3))


def _add_histogram(family: HistogramMetricFamily, labels: list[str], of: Histogram) -> None:
    below, buckets = 0, []
    for bound, count in zip((*map(str, of.bounds), "+Inf"), of.counts, strict=True):
        below += count
        buckets.append((bound, below))
    family.add_metric(labels, buckets, of.sum)
