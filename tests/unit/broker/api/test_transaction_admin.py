"""What an operator is shown of transactions, and how one that hangs is ended (KIP-664)."""

import pytest
from tests.unit.broker.harness import Core, fetched
from tests.unit.broker.txn import Producer, committed, group_offset

from tickertape.broker.state.settings import BrokerSettings
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    ProducerState,
    TopicRequest,
)
from tickertape.wire.schema.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TransactionState,
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

SMALL = BrokerSettings(offsets_topic_num_partitions=1, transaction_state_log_num_partitions=2)
NONE = ErrorCode.NONE


@pytest.fixture
def core() -> Core:
    one = Core(SMALL)
    one.create("t", 2)
    return one


@pytest.fixture
def producer(core: Core) -> Producer:
    one = Producer(core)
    assert one.init() is NONE
    return one


def describe(core: Core, *names: str) -> list[TransactionState]:
    ask = DescribeTransactionsRequest(transactional_ids=list(names))
    out = core.ask(ApiKey.DESCRIBE_TRANSACTIONS, 0, ask, DescribeTransactionsResponse)
    return out.transaction_states


def listed(core: Core, version: int = 2, **filters: object) -> list[str]:
    ask = ListTransactionsRequest()
    for name, value in filters.items():
        setattr(ask, name, value)
    out = core.ask(ApiKey.LIST_TRANSACTIONS, version, ask, ListTransactionsResponse)
    assert out.error_code == 0
    return sorted(each.transactional_id for each in out.transaction_states)


def producers(core: Core, topic: str, partition: int = 0) -> list[ProducerState]:
    ask = DescribeProducersRequest(topics=[TopicRequest(name=topic, partition_indexes=[partition])])
    out = core.ask(ApiKey.DESCRIBE_PRODUCERS, 0, ask, DescribeProducersResponse)
    return out.topics[0].partitions[0].active_producers


def mark(
    core: Core, producer: Producer, topic: str, *, commit: bool = False, partition: int = 0,
    version: int = 1, epoch: int | None = None, coordinator: int = 0,
) -> ErrorCode:  # fmt: skip
    one = WritableTxnMarker(
        producer_id=producer.id,
        producer_epoch=producer.epoch if epoch is None else epoch,
        transaction_result=commit,
        topics=[WritableTxnMarkerTopic(name=topic, partition_indexes=[partition])],
        coordinator_epoch=coordinator,
        transaction_version=2 if version == 2 else 0,
    )
    ask = WriteTxnMarkersRequest(markers=[one])
    out = core.ask(ApiKey.WRITE_TXN_MARKERS, version, ask, WriteTxnMarkersResponse)
    assert out.markers[0].producer_id == producer.id
    return ErrorCode(out.markers[0].topics[0].partitions[0].error_code)


def test_a_transaction_is_described_in_each_state(core: Core, producer: Producer) -> None:
    (empty,) = describe(core, "tx")
    assert (empty.error_code, empty.transaction_state, empty.topics) == (0, "Empty", [])
    assert (empty.producer_id, empty.producer_epoch) == (producer.id, producer.epoch)
    assert (empty.transaction_timeout_ms, empty.transaction_start_time_ms) == (60_000, -1)
    assert producer.begin("t") is NONE
    assert producer.begin("t", partition=1) is NONE
    (open_,) = describe(core, "tx")
    assert open_.transaction_state == "Ongoing"
    assert open_.transaction_start_time_ms == core.clock.now_ms()
    assert [(each.topic, each.partitions) for each in open_.topics] == [("t", [0, 1])]
    assert producer.end(commit=True) is NONE
    assert describe(core, "tx")[0].transaction_state == "CompleteCommit"


def test_ids_that_cannot_be_described(core: Core, producer: Producer) -> None:
    nobody, empty, known = describe(core, "nobody", "", "tx", "tx")
    assert nobody.error_code == ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
    assert empty.error_code == ErrorCode.INVALID_REQUEST
    assert known.error_code == 0


def test_transactions_are_listed_by_state_producer_age_and_name(core: Core) -> None:
    one, two = Producer(core, "one"), Producer(core, "two")
    assert one.init() is two.init() is NONE
    assert one.begin("t") is NONE
    core.clock.advance(500)
    assert listed(core) == ["one", "two"]
    assert listed(core, state_filters=["Ongoing"]) == ["one"]
    assert listed(core, state_filters=["Empty", "Ongoing"]) == ["one", "two"]
    assert listed(core, state_filters=["Sleeping"]) == []
    assert listed(core, producer_id_filters=[two.id]) == ["two"]
    assert listed(core, duration_filter=499, state_filters=["Ongoing"]) == ["one"]
    assert listed(core, duration_filter=500, state_filters=["Ongoing"]) == []
    assert listed(core, transactional_id_pattern="o.*") == ["one"]
    assert listed(core, transactional_id_pattern="") == ["one", "two"]
    assert listed(core, 0, duration_filter=10**9, transactional_id_pattern="x") == ["one", "two"]


def test_states_and_patterns_that_are_none(core: Core) -> None:
    ask = ListTransactionsRequest(state_filters=["Sleeping", "Empty"])
    out = core.ask(ApiKey.LIST_TRANSACTIONS, 2, ask, ListTransactionsResponse)
    assert out.unknown_state_filters == ["Sleeping"]
    for pattern in ("[", "(a)\\1", "a++", "a" * 1_001):
        ask = ListTransactionsRequest(transactional_id_pattern=pattern)
        out = core.ask(ApiKey.LIST_TRANSACTIONS, 2, ask, ListTransactionsResponse)
        assert out.error_code == ErrorCode.INVALID_REGULAR_EXPRESSION


def test_no_pattern_keeps_the_broker_from_its_work(core: Core) -> None:
    """With re these do not end."""
    assert Producer(core, "a" * 20_000).init() is NONE
    assert listed(core, transactional_id_pattern="((a*)*)*x") == []
    assert listed(core, transactional_id_pattern="(a.*)|b") == ["a" * 20_000]


def test_a_pattern_matches_ids_of_any_letters(core: Core) -> None:
    names = ["orders/1 é", "orders/x", "ORDERS/2 é"]
    for name in names:
        assert Producer(core, name).init() is NONE
    assert listed(core, transactional_id_pattern="orders/\\d\\s[^\\w]") == names[:1]
    assert listed(core, transactional_id_pattern="(?i)orders/.+\\D") == sorted([names[0], names[2]])


def test_an_id_that_is_not_durable_is_not_shown(core: Core, producer: Producer) -> None:
    core.auto_sync = False
    core.broker.transactions.init("new", 1_000, None, lambda *found: None)
    assert listed(core) == ["tx"]
    assert describe(core, "new")[0].error_code == ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
    core.sync()
    assert listed(core) == ["new", "tx"]


@pytest.mark.parametrize("version", [9, 12])
def test_producers_with_an_open_transaction_are_described(
    core: Core, producer: Producer, version: int
) -> None:
    plain = Producer(core, "plain", id=77, epoch=0)
    assert plain.send("t", "before", transactional=False) is NONE
    if version < 12:
        assert producer.begin("t") is NONE
    assert producer.send("t", "a", "b", version=version) is NONE
    open_, idle = producers(core, "t")
    assert (open_.producer_id, open_.current_txn_start_offset) == (producer.id, 1)
    assert (open_.producer_epoch, open_.last_sequence, open_.coordinator_epoch) == (0, 1, -1)
    assert (idle.producer_id, idle.current_txn_start_offset) == (77, -1)
    assert producer.end(commit=True, version=5 if version == 12 else 4) is NONE
    ended = producers(core, "t")[0]
    assert (ended.current_txn_start_offset, ended.coordinator_epoch) == (-1, 0)
    assert ended.producer_epoch == producer.epoch
    assert ended.last_timestamp == core.clock.now_ms()  # the marker's
    core.crash()
    assert producers(core, "t")[0] == ended


def hang(core: Core, producer: Producer) -> None:
    """An open transaction in t-0 that the coordinator does not know."""
    assert producer.begin("t") is NONE
    assert producer.send("t", "lost") is NONE
    del core.broker.transactions._entries["tx"]


def test_a_transaction_that_nobody_ends_is_aborted_by_hand(core: Core, producer: Producer) -> None:
    hang(core, producer)
    after = Producer(core, "after", id=77, epoch=0)
    assert after.send("t", "kept", transactional=False) is NONE
    assert fetched(core.fetch("t", 0, isolation_level=1)).last_stable_offset == 0
    assert mark(core, producer, "t") is NONE
    assert committed(core, "t") == ["kept"]
    assert producers(core, "t")[0].current_txn_start_offset == -1
    core.crash()
    assert committed(core, "t") == ["kept"]


def test_markers_that_are_refused(core: Core, producer: Producer) -> None:
    hang(core, producer)
    assert mark(core, producer, "nowhere") is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert mark(core, producer, "t", partition=9) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert mark(core, producer, "t", epoch=-1) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert mark(core, producer, "t", version=2) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert mark(core, producer, "t", version=2, epoch=producer.epoch + 1, coordinator=5) is NONE
    fenced = ErrorCode.TRANSACTION_COORDINATOR_FENCED
    assert mark(core, producer, "t", epoch=producer.epoch + 1, coordinator=4) is fenced


def test_an_answer_comes_when_every_marker_is_durable(core: Core, producer: Producer) -> None:
    core.auto_sync = False
    one = WritableTxnMarker(
        producer_id=producer.id,
        producer_epoch=0,
        topics=[WritableTxnMarkerTopic(name="t", partition_indexes=[0, 1, 1])],
    )
    ask = WriteTxnMarkersRequest(markers=[one, one])
    call = core.send(ApiKey.WRITE_TXN_MARKERS, 1, ask.encode(1))
    assert not call.answered
    core.sync()
    out = call.read(WriteTxnMarkersResponse, ApiKey.WRITE_TXN_MARKERS, 1)
    assert len(out.markers) == 2
    nothing = WriteTxnMarkersRequest()
    assert core.ask(ApiKey.WRITE_TXN_MARKERS, 1, nothing, WriteTxnMarkersResponse).markers == []


@pytest.mark.parametrize("commit", [True, False])
def test_offsets_follow_a_marker_by_hand(core: Core, producer: Producer, commit: bool) -> None:  # noqa: FBT001  # a parameter
    assert producer.begin_offsets("g") is NONE
    assert producer.send_offset("g", "t", 7) is NONE
    assert mark(core, producer, "__consumer_offsets", commit=commit) is NONE
    assert group_offset(core, "g", "t", stable=True) == (0, 7 if commit else -1)
    core.restart()
    assert group_offset(core, "g", "t", stable=True) == (0, 7 if commit else -1)
