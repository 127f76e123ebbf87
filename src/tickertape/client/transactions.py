"""Transactions as an operator sees them: what is open, where, and how to end it (KIP-664)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tickertape.base.errors import PeerError
from tickertape.client.brokers import Broker, Brokers, KafkaError
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.schema.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    TopicRequest,
)
from tickertape.wire.schema.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
)
from tickertape.wire.schema.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from tickertape.wire.schema.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from tickertape.wire.schema.list_transactions import (
    ListTransactionsRequest,
    ListTransactionsResponse,
)
from tickertape.wire.schema.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)

Place = tuple[str, int]
_OF_A_TRANSACTION: Final = 1  # FindCoordinator's key type
_NEWEST_SINGLE: Final = 3  # its last version with one key
_LATEST: Final = -1  # as a timestamp of ListOffsets
_COMMITTED: Final = 1  # isolation level
_OFFSETS: Final = (2, 7)  # versions of ListOffsets: isolation levels, and nothing newer is needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A transactional id, and who coordinates it."""

    transactional_id: str
    coordinator: int
    producer_id: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the coordinator knows of a transactional id. Times in ms, -1 if there is none."""

    transactional_id: str
    coordinator: int
    producer_id: int
    producer_epoch: int
    state: str
    timeout_ms: int
    started_ms: int
    partitions: frozenset[Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProducer:
    """A transaction that is open in a partition, as the partition's leader knows it."""

    place: Place
    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    last_timestamp_ms: int
    start_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How far a partition may be read."""

    last_stable_offset: int
    high_watermark: int


class TransactionAdmin:
    """See the module. PeerError and KafkaError, as the client's."""

    def __init__(self, brokers: Brokers) -> None:
        """Ask these."""
        self._brokers = brokers

    def listed(
        self, states: Sequence[str] = (), producer_ids: Sequence[int] = (), *,
        older_than_ms: int = -1, pattern: str | None = None,
    ) -> list[Listed]:  # fmt: skip
        """Every transactional id that passes, by name."""
        ask = ListTransactionsRequest(
            state_filters=list(states),
            producer_id_filters=list(producer_ids),
            duration_filter=older_than_ms,
            transactional_id_pattern=pattern,
        )
        least = 2 if pattern is not None else 1 if older_than_ms >= 0 else 0
        found = []
        for node_id in self._brokers.node_ids():
            broker = self._brokers.node(node_id)
            key = ApiKey.LIST_TRANSACTIONS
            out = broker.ask(key, ask, ListTransactionsResponse, at_least=least)
            _check("list transactions", out.error_code)
            if out.unknown_state_filters:
                raise PeerError(f"no such state: {', '.join(out.unknown_state_filters)}")
            found += [
                Listed(
                    transactional_id=each.transactional_id,
                    coordinator=node_id,
                    producer_id=each.producer_id,
                    state=each.transaction_state,
                )
                for each in out.transaction_states
            ]
        return sorted(found, key=lambda one: one.transactional_id)

    def described(self, transactional_id: str) -> Described:
        """One of them. KafkaError with TRANSACTIONAL_ID_NOT_FOUND if there is none."""
        broker, node_id = self._coordinator(transactional_id)
        ask = DescribeTransactionsRequest(transactional_ids=[transactional_id])
        out = broker.ask(ApiKey.DESCRIBE_TRANSACTIONS, ask, DescribeTransactionsResponse)
        (one,) = out.transaction_states
        _check(f"transactional id {transactional_id!r}", one.error_code)
        return Described(
            transactional_id=transactional_id,
            coordinator=node_id,
            producer_id=one.producer_id,
            producer_epoch=one.producer_epoch,
            state=one.transaction_state,
            timeout_ms=one.transaction_timeout_ms,
            started_ms=one.transaction_start_time_ms,
            partitions=frozenset(
                (topic.topic, index) for topic in one.topics for index in topic.partitions
            ),
        )

    def _coordinator(self, transactional_id: str) -> tuple[Broker, int]:
        ask = FindCoordinatorRequest(key=transactional_id, key_type=_OF_A_TRANSACTION)
        out = self._brokers.any().ask(
            ApiKey.FIND_COORDINATOR, ask, FindCoordinatorResponse,
            at_least=1, at_most=_NEWEST_SINGLE,
        )  # fmt: skip
        what = f"coordinator of {transactional_id!r}"
        _check(what, out.error_code, out.error_message)
        return self._brokers.node(out.node_id), out.node_id

    def leaders(self, topics: Iterable[str] | None) -> dict[int, list[Place]]:
        """The partitions of these topics, or of all, by the broker that leads them."""
        found: dict[int, list[Place]] = {}
        for topic in self._brokers.metadata(topics).topics:
            _check(f"topic {topic.name}", topic.error_code)
            for part in topic.partitions:
                if part.leader_id >= 0 and topic.name is not None:
                    place = (topic.name, part.partition_index)
                    found.setdefault(part.leader_id, []).append(place)
        return found

    def open_producers(self, leaders: Mapping[int, Sequence[Place]]) -> list[OpenProducer]:
        """Every transaction that is open there, the oldest of each partition first."""
        found = []
        for node_id, places in leaders.items():
            if not places:
                continue
            ask = DescribeProducersRequest(
                topics=[
                    TopicRequest(name=topic, partition_indexes=ids)
                    for topic, ids in _by_topic(places).items()
                ]
            )
            broker = self._brokers.node(node_id)
            out = broker.ask(ApiKey.DESCRIBE_PRODUCERS, ask, DescribeProducersResponse)
            for topic in out.topics:
                for part in topic.partitions:
                    what = f"{topic.name}-{part.partition_index}"
                    _check(what, part.error_code, part.error_message)
                    found += [
                        OpenProducer(
                            place=(topic.name, part.partition_index),
                            producer_id=each.producer_id,
                            producer_epoch=each.producer_epoch,
                            coordinator_epoch=each.coordinator_epoch,
                            last_timestamp_ms=each.last_timestamp,
                            start_offset=each.current_txn_start_offset,
                        )
                        for each in part.active_producers
                        if each.current_txn_start_offset >= 0
                    ]
        return sorted(found, key=lambda one: (one.place, one.start_offset))

    def ends(self, leaders: Mapping[int, Sequence[Place]]) -> dict[Place, Ends]:
        """Last stable offset and high watermark of each partition."""
        stable = self._offsets(leaders, _COMMITTED)
        high = self._offsets(leaders, 0)
        return {
            place: Ends(last_stable_offset=stable[place], high_watermark=high[place])
            for place in stable
        }

    def _offsets(self, leaders: Mapping[int, Sequence[Place]], isolation: int) -> dict[Place, int]:
        found = {}
        for node_id, places in leaders.items():
            ask = ListOffsetsRequest(
                replica_id=-1,
                isolation_level=isolation,
                topics=[
                    ListOffsetsTopic(
                        name=topic,
                        partitions=[
                            ListOffsetsPartition(partition_index=index, timestamp=_LATEST)
                            for index in ids
                        ],
                    )
                    for topic, ids in _by_topic(places).items()
                ],
            )
            least, most = _OFFSETS
            out = self._brokers.node(node_id).ask(
                ApiKey.LIST_OFFSETS, ask, ListOffsetsResponse, at_least=least, at_most=most
            )
            for topic in out.topics:
                for part in topic.partitions:
                    _check(f"{topic.name}-{part.partition_index}", part.error_code)
                    found[topic.name, part.partition_index] = part.offset
        return found

    def abort(self, one: OpenProducer) -> None:
        """Write an abort marker, whatever the coordinator thinks of it."""
        topic, index = one.place
        marker = WritableTxnMarker(
            producer_id=one.producer_id,
            producer_epoch=one.producer_epoch,
            transaction_result=False,
            topics=[WritableTxnMarkerTopic(name=topic, partition_indexes=[index])],
            coordinator_epoch=max(one.coordinator_epoch, 0),
        )
        (leader,) = (
            node_id for node_id, places in self.leaders([topic]).items() if one.place in places
        )
        out = self._brokers.node(leader).ask(
            ApiKey.WRITE_TXN_MARKERS,
            WriteTxnMarkersRequest(markers=[marker]),
            WriteTxnMarkersResponse,
        )
        result = out.markers[0].topics[0].partitions[0]
        _check(f"abort at {topic}-{index}", result.error_code)


def _by_topic(places: Iterable[Place]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for topic, index in places:
        found.setdefault(topic, []).append(index)
    return found


def _check(what: str, code: int, message: str | None = None) -> None:
    if code:
        raise KafkaError(what, code, message)
