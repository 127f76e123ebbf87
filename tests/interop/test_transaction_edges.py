"""The edges of transactions, v1 and v2, asked of either broker in the protocol's own words.

The messages are encoded by this project's codecs: what Apache Kafka understands and answers alike
vouches for both. Each expectation here was seen on Apache Kafka 4.3 first.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from tests.interop.harness import PATIENCE_S, Broker, create_topic, eventually, unique

from tickertape.client import brokers
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.produce import (
    PartitionProduce,
    ProduceRequest,
    read_produce_response,
    write_produce_request,
)
from tickertape.wire.records import Record, write_batch
from tickertape.wire.schema.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
)
from tickertape.wire.schema.api_versions import ApiVersionsRequest, ApiVersionsResponse
from tickertape.wire.schema.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    TopicRequest,
)
from tickertape.wire.schema.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
)
from tickertape.wire.schema.end_txn import EndTxnRequest, EndTxnResponse
from tickertape.wire.schema.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from tickertape.wire.schema.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from tickertape.wire.schema.list_transactions import (
    ListTransactionsRequest,
    ListTransactionsResponse,
)
from tickertape.wire.schema.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)
from tickertape.wire.schema.update_features import (
    FeatureUpdateKey,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)
from tickertape.wire.schema.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)

pytestmark = pytest.mark.timeout(120)

RECORD_MS = 1_000
NONE = ErrorCode.NONE
AGAIN = ErrorCode.CONCURRENT_TRANSACTIONS
FENCED = ErrorCode.PRODUCER_FENCED
OLD = ErrorCode.INVALID_PRODUCER_EPOCH
WRONG = ErrorCode.INVALID_TXN_STATE


@pytest.fixture
def server(target: Broker) -> Iterator[brokers.Broker]:
    address = ("127.0.0.1", target.port)
    one = brokers.Broker(address, socket.create_connection(address, timeout=PATIENCE_S))
    yield one
    one.close()


@pytest.fixture
def topic(target: Broker) -> str:
    return create_topic(target.bootstrap, unique("edge"))


@dataclass
class Producer:
    """One that says exactly what it is told to."""

    server: brokers.Broker
    name: str
    id: int = -1
    epoch: int = -1
    sequences: dict[str, int] = field(default_factory=dict)

    def once(self, *, keep: bool = False) -> ErrorCode:
        ask = InitProducerIdRequest(
            transactional_id=self.name,
            transaction_timeout_ms=60_000,
            producer_id=self.id if keep else -1,
            producer_epoch=self.epoch if keep else -1,
        )
        out = self.server.ask(ApiKey.INIT_PRODUCER_ID, ask, InitProducerIdResponse, at_most=5)
        if out.error_code == 0:
            self.id, self.epoch = out.producer_id, out.producer_epoch
            self.sequences.clear()
        return ErrorCode(out.error_code)

    def init(self, *, keep: bool = False) -> ErrorCode:
        """Until the coordinator has time."""

        def once() -> list[ErrorCode] | None:
            error = self.once(keep=keep)
            return None if error in BUSY else [error]

        return eventually(once, "an answer")[0]

    def add(self, topic: str) -> ErrorCode:
        ask = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self.name,
            v3_and_below_producer_id=self.id,
            v3_and_below_producer_epoch=self.epoch,
            v3_and_below_topics=[AddPartitionsToTxnTopic(name=topic, partitions=[0])],
        )
        key, answer = ApiKey.ADD_PARTITIONS_TO_TXN, AddPartitionsToTxnResponse

        def once() -> list[ErrorCode] | None:
            out = self.server.ask(key, ask, answer, at_most=3)
            (found,) = out.results_by_topic_v3_and_below[0].results_by_partition
            error = ErrorCode(found.partition_error_code)
            return None if error in BUSY else [error]

        return eventually(once, "an answer")[0]

    def send(self, topic: str, value: str, *, version: int = 12) -> ErrorCode:
        sequence = self.sequences.get(topic, 0)
        batch = write_batch(
            [Record(0, RECORD_MS, None, value.encode(), ())], producer_id=self.id,
            producer_epoch=self.epoch, base_sequence=sequence, attributes=0x10,
        )  # fmt: skip
        part = PartitionProduce(0, memoryview(batch))
        ask = ProduceRequest(self.name, -1, 30_000, [(topic, [part])])

        def once() -> list[ErrorCode] | None:
            body = write_produce_request(version, ask)
            frame, at = self.server.exchange(ApiKey.PRODUCE, version, body)
            ((_, (out,)),) = read_produce_response(frame, at, version).topics
            error = ErrorCode(out.error)
            return None if error in BUSY else [error]

        (error,) = eventually(once, "an answer")
        if error is NONE:
            self.sequences[topic] = sequence + 1
        return error

    def end(self, *, commit: bool, version: int = 5) -> ErrorCode:
        ask = EndTxnRequest(
            transactional_id=self.name, producer_id=self.id, producer_epoch=self.epoch,
            committed=commit,
        )  # fmt: skip

        def once() -> EndTxnResponse | None:
            out = self.server.ask(ApiKey.END_TXN, ask, EndTxnResponse, at_most=version)
            return None if out.error_code in BUSY else out

        out = eventually(once, "an answer")
        if version >= 5 and out.error_code == 0:
            self.id, self.epoch = out.producer_id, out.producer_epoch
            self.sequences.clear()
        return ErrorCode(out.error_code)

    def send_offset(self, group: str, topic: str) -> ErrorCode:
        part = TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=1)
        ask = TxnOffsetCommitRequest(
            transactional_id=self.name, group_id=group, producer_id=self.id,
            producer_epoch=self.epoch, generation_id=-1,
            topics=[TxnOffsetCommitRequestTopic(name=topic, partitions=[part])],
        )  # fmt: skip

        def once() -> list[ErrorCode] | None:
            key = ApiKey.TXN_OFFSET_COMMIT
            out = self.server.ask(key, ask, TxnOffsetCommitResponse, at_most=5)
            error = ErrorCode(out.topics[0].partitions[0].error_code)
            return None if error in BUSY else [error]

        return eventually(once, "an answer")[0]

    def state(self) -> str:
        ask = DescribeTransactionsRequest(transactional_ids=[self.name])
        key = ApiKey.DESCRIBE_TRANSACTIONS
        return (
            self.server.ask(key, ask, DescribeTransactionsResponse)
            .transaction_states[0]
            .transaction_state
        )

    def reached(self, state: str) -> bool:
        """Once the markers are written."""
        return eventually(lambda: self.state() == state, state)


BUSY = {
    AGAIN,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_COORDINATOR,
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
}


@pytest.fixture
def producer(server: brokers.Broker) -> Producer:
    for key, key_type in (("edge", 1), ("edge", 0)):  # makes the topics that hold them
        ask = FindCoordinatorRequest(key=key, key_type=key_type)
        server.ask(ApiKey.FIND_COORDINATOR, ask, FindCoordinatorResponse, at_least=1, at_most=3)
    one = Producer(server, unique("tx"))
    assert one.init() is NONE
    return one


def test_v2_from_init_to_the_fence(producer: Producer, topic: str) -> None:
    first = replace(producer)
    assert producer.end(commit=True) is WRONG
    assert producer.end(commit=False) is NONE  # nothing was open: only the epoch moves
    assert producer.epoch == first.epoch + 1
    for commit, state in ((True, "CompleteCommit"), (False, "CompleteAbort")):
        before = replace(producer, sequences={})
        assert producer.send(topic, "a") is NONE
        assert producer.send(topic, "b") is NONE
        assert producer.send_offset(unique("group"), topic) is NONE
        assert producer.state() == "Ongoing"
        assert producer.end(commit=commit) is NONE
        assert (producer.id, producer.epoch) == (before.id, before.epoch + 1)
        assert producer.reached(state)
        again = replace(before)
        assert again.end(commit=commit) is NONE
        assert again.epoch == producer.epoch
        assert replace(before).end(commit=not commit) is WRONG
        assert before.send(topic, "zombie") is OLD
        assert before.send_offset(unique("group"), topic) is OLD
    assert first.end(commit=False) is FENCED
    assert replace(producer, epoch=producer.epoch + 1).end(commit=False) is FENCED
    stranger = replace(producer, id=producer.id + 1_000_000)
    assert stranger.end(commit=False) is ErrorCode.INVALID_PRODUCER_ID_MAPPING
    assert producer.end(commit=True) is WRONG
    assert producer.end(commit=False) is NONE


def test_a_v2_producer_begins_at_zero_where_it_is_not_known(producer: Producer, topic: str) -> None:
    producer.sequences[topic] = 5
    assert producer.send(topic, "x") is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert producer.state() == "Ongoing"
    producer.sequences.clear()
    assert producer.send(topic, "x") is NONE
    assert producer.end(commit=True) is NONE


def test_a_successor_bumps_the_epoch_by_the_abort_and_once_more(
    producer: Producer, topic: str
) -> None:
    assert producer.send(topic, "lost") is NONE
    successor = replace(producer)
    assert successor.once() is AGAIN
    assert producer.reached("CompleteAbort")
    assert successor.init() is NONE
    assert successor.epoch == producer.epoch + 2
    assert producer.end(commit=True) is FENCED
    assert producer.send(topic, "zombie") is OLD


def test_v1_beside(producer: Producer, topic: str) -> None:
    epoch = producer.epoch
    assert producer.send(topic, "x", version=9) is WRONG
    assert producer.send(topic, "x", version=11) is ErrorCode.TRANSACTION_ABORTABLE
    assert producer.add(topic) is NONE
    assert producer.send(topic, "x", version=9) is NONE
    assert producer.end(commit=True, version=4) is NONE
    assert producer.end(commit=True, version=4) is NONE
    assert producer.end(commit=False, version=4) is WRONG
    assert producer.epoch == epoch


def test_a_zombie_that_says_who_it_was(producer: Producer, topic: str) -> None:
    """With a transaction open only the producer id is looked at, not the epoch."""
    zombie = replace(producer)
    assert producer.init(keep=True) is NONE
    assert producer.epoch == zombie.epoch + 1
    repeated = replace(zombie)
    assert repeated.init(keep=True) is NONE
    assert repeated.epoch == producer.epoch
    successor = replace(producer)
    assert successor.init() is NONE
    assert successor.send(topic, "lost") is NONE
    assert zombie.once(keep=True) is AGAIN
    assert successor.reached("CompleteAbort")
    assert zombie.init(keep=True) is FENCED
    assert replace(zombie, epoch=-1).init(keep=True) is ErrorCode.INVALID_REQUEST
    assert replace(zombie, id=-1).init(keep=True) is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("version", [9, 11, 12])
def test_records_of_who_is_not_the_producer(producer: Producer, topic: str, version: int) -> None:
    mapping = ErrorCode.INVALID_PRODUCER_ID_MAPPING
    for stranger, wanted in (
        (replace(producer, name=unique("nobody")), mapping),
        (replace(producer, name=""), ErrorCode.INVALID_REQUEST),
        (replace(producer, id=producer.id + 1_000_000), mapping),
        (replace(producer, epoch=producer.epoch + 1), OLD),
    ):
        assert stranger.send(topic, "x", version=version) is wanted
        assert stranger.end(commit=True) in {wanted, FENCED}
        assert stranger.send_offset("g", topic) is wanted
    assert producer.state() == "Empty"


def described(producer: Producer, topic: str) -> list[tuple[int, int, int, int]]:
    """Epoch, last sequence, last timestamp (after RECORD_MS: a marker), start of what is open."""
    ask = DescribeProducersRequest(topics=[TopicRequest(name=topic, partition_indexes=[0])])
    out = producer.server.ask(ApiKey.DESCRIBE_PRODUCERS, ask, DescribeProducersResponse)
    return [
        (
            each.producer_epoch, each.last_sequence, min(each.last_timestamp, RECORD_MS + 1),
            each.current_txn_start_offset,
        )
        for each in out.topics[0].partitions[0].active_producers
    ]  # fmt: skip


def test_producers_before_and_after_the_marker(producer: Producer, topic: str) -> None:
    assert producer.send(topic, "a") is NONE
    assert producer.send(topic, "b") is NONE
    epoch = producer.epoch
    assert described(producer, topic) == [(epoch, 1, RECORD_MS, 0)]
    assert producer.end(commit=True) is NONE
    assert producer.reached("CompleteCommit")
    assert described(producer, topic) == [(epoch + 1, -1, RECORD_MS + 1, -1)]


def mark(producer: Producer, topic: str, *, epoch: int, transaction_version: int = 0) -> ErrorCode:
    marker = WritableTxnMarker(
        producer_id=producer.id, producer_epoch=epoch, transaction_result=False,
        topics=[WritableTxnMarkerTopic(name=topic, partition_indexes=[0])],
        transaction_version=transaction_version,
    )  # fmt: skip
    ask = WriteTxnMarkersRequest(markers=[marker])
    out = producer.server.ask(ApiKey.WRITE_TXN_MARKERS, ask, WriteTxnMarkersResponse)
    return ErrorCode(out.markers[0].topics[0].partitions[0].error_code)


def test_markers_by_hand(producer: Producer, topic: str) -> None:
    assert producer.send(topic, "x") is NONE
    assert mark(producer, unique("nowhere"), epoch=0) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert mark(producer, topic, epoch=producer.epoch, transaction_version=2) is OLD
    assert mark(producer, topic, epoch=producer.epoch) is NONE
    assert mark(producer, topic, epoch=producer.epoch, transaction_version=2) is NONE
    assert mark(producer, topic, epoch=producer.epoch + 3) is NONE
    assert mark(producer, topic, epoch=producer.epoch) is OLD


def test_what_the_admin_calls_answer(producer: Producer) -> None:
    server, name = producer.server, producer.name
    ask = DescribeTransactionsRequest(transactional_ids=[unique("nobody"), "", name])
    out = server.ask(ApiKey.DESCRIBE_TRANSACTIONS, ask, DescribeTransactionsResponse)
    codes = {each.transactional_id: each.error_code for each in out.transaction_states}
    assert sorted(codes.values()) == [0, 42, 105]
    assert (codes[""], codes[name]) == (ErrorCode.INVALID_REQUEST, NONE)

    def listed(**filters: object) -> tuple[int, list[str], bool]:
        wish = ListTransactionsRequest()
        for key, value in filters.items():
            setattr(wish, key, value)
        found = server.ask(ApiKey.LIST_TRANSACTIONS, wish, ListTransactionsResponse)
        names = {each.transactional_id for each in found.transaction_states}
        return found.error_code, found.unknown_state_filters, name in names

    assert listed() == (0, [], True)
    assert listed(state_filters=["Asleep"]) == (0, ["Asleep"], False)
    assert listed(state_filters=["Asleep", "Empty"]) == (0, ["Asleep"], True)
    assert listed(producer_id_filters=[producer.id]) == (0, [], True)
    assert listed(transactional_id_pattern="") == (0, [], True)
    assert listed(transactional_id_pattern="tx-.*") == (0, [], True)
    assert listed(transactional_id_pattern="x") == (0, [], False)
    assert listed(transactional_id_pattern="[")[0] == ErrorCode.INVALID_REGULAR_EXPRESSION
    assert listed(duration_filter=10**15) == (0, [], False)


def test_features(server: brokers.Broker) -> None:
    name = "transaction.version"
    ask = ApiVersionsRequest(client_software_name="t", client_software_version="1")
    for version in (3, 4):
        out = server.ask(ApiKey.API_VERSIONS, ask, ApiVersionsResponse, at_most=version)
        found = [each for each in out.supported_features if each.name == name]
        levels = [(each.min_version, each.max_version) for each in found]
        assert levels == ([(0, 2)] if version == 4 else [])  # older clients know no level 0
        (final,) = [each for each in out.finalized_features if each.name == name]
        assert (final.min_version_level, final.max_version_level) == (2, 2)
        assert out.finalized_features_epoch > 0

    def update(level: int, kind: int, feature: str = name) -> list[tuple[int, int]]:
        """The error, and how many results, in versions 1 and 2."""
        one = FeatureUpdateKey(feature=feature, max_version_level=level, upgrade_type=kind)
        wish = UpdateFeaturesRequest(feature_updates=[one], validate_only=True)
        key, answer = ApiKey.UPDATE_FEATURES, UpdateFeaturesResponse
        outs = [server.ask(key, wish, answer, at_most=version) for version in (1, 2)]
        return [(out.error_code, len(out.results)) for out in outs]

    refused = [(ErrorCode.INVALID_UPDATE_VERSION, 0)] * 2
    assert update(9, 1) == update(1, 1) == update(-1, 2) == refused
    assert update(1, 1, "beer.version") == refused
    assert update(2, 1) == update(2, 2) == update(1, 2) == update(1, 3) == [(0, 1), (0, 0)]
