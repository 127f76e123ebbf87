"""Who holds readers back: open, overdue and hanging transactions, and what an abort does."""

from dataclasses import replace

import pytest
from tests.unit.broker.harness import Core, fetched
from tests.unit.broker.txn import Producer, committed
from tests.unit.client.stream import cluster

from tickertape.client.brokers import KafkaError
from tickertape.client.hanging import GRACE_MS, Finding, Verdict, find_open
from tickertape.client.transactions import OpenProducer, TransactionAdmin
from tickertape.wire.error_codes import ErrorCode

NONE = ErrorCode.NONE


@pytest.fixture
def core() -> Core:
    one = Core()
    one.create("t", 2)
    one.create("u")
    return one


@pytest.fixture
def admin(core: Core) -> TransactionAdmin:
    return TransactionAdmin(cluster(core))


def started(core: Core, name: str, *topics: str, partition: int = 0) -> Producer:
    producer = Producer(core, name)
    assert producer.init() is NONE
    for topic in topics:
        assert producer.begin(topic, partition=partition) is NONE
        assert producer.send(topic, f"{name} {topic}", partition=partition) is NONE
    return producer


def found(admin: TransactionAdmin, core: Core, *topics: str) -> list[Finding]:
    return find_open(admin, topics or None, core.clock.now_ms())


def test_nothing_is_open(admin: TransactionAdmin, core: Core) -> None:
    assert found(admin, core) == []
    assert started(core, "a", "t").end(commit=True) is NONE
    assert found(admin, core) == []


def test_open_transactions_and_what_each_holds_back(admin: TransactionAdmin, core: Core) -> None:
    started(core, "a", "t", "u")
    started(core, "b", "t")
    plain = Producer(core, "plain", id=99, epoch=0)
    assert plain.send("t", "x", "y", transactional=False) is NONE
    core.clock.advance(1_000)
    first, second, other = found(admin, core)
    places = [(one.producer.place, one.producer.start_offset) for one in (first, second, other)]
    assert places == [(("t", 0), 0), (("t", 0), 1), (("u", 0), 0)]
    assert [one.held_back for one in (first, second, other)] == [4, 0, 1]
    assert {one.verdict for one in (first, second, other)} == {Verdict.OPEN}
    assert (first.age_ms, first.is_problem) == (1_000, False)
    assert first.transaction is not None
    assert first.transaction.transactional_id == "a"
    assert [one.producer.place for one in found(admin, core, "u")] == [("u", 0)]


def test_one_that_its_coordinator_forgot_hangs(admin: TransactionAdmin, core: Core) -> None:
    producer = started(core, "a", "t")
    del core.broker.transactions._entries["a"]
    (one,) = found(admin, core)
    assert (one.verdict, one.is_problem, one.transaction) == (Verdict.HANGING, True, None)
    admin.abort(one.producer)
    assert found(admin, core) == []
    assert fetched(core.fetch("t", 0, isolation_level=1)).last_stable_offset == 2
    assert producer.id == one.producer.producer_id


def test_one_in_a_partition_that_its_coordinator_forgot_hangs(
    admin: TransactionAdmin, core: Core
) -> None:
    started(core, "a", "t", "u")
    entry = core.broker.transactions._entries["a"]
    entry.current = replace(entry.current, partitions=frozenset({("u", 0)}))
    verdicts = {one.producer.place: one.verdict for one in found(admin, core)}
    assert verdicts == {("t", 0): Verdict.HANGING, ("u", 0): Verdict.OPEN}


def test_one_that_should_have_been_ended_is_overdue(admin: TransactionAdmin, core: Core) -> None:
    started(core, "a", "t")
    core.clock.advance(60_000 + GRACE_MS + 1)  # and nobody calls tick
    (one,) = found(admin, core)
    assert (one.verdict, one.is_problem) == (Verdict.OVERDUE, True)


def test_one_that_ends_while_we_look_is_not_blamed(core: Core) -> None:
    producer = started(core, "a", "t")

    class Racing(TransactionAdmin):
        def listed(self, *args: object, **more: object) -> list[object]:  # type: ignore[override]  # in the middle of the look
            assert producer.end(commit=True) is NONE
            return list(super().listed())

    admin = Racing(cluster(core))
    assert find_open(admin, None, core.clock.now_ms()) == []


def test_an_abort_by_hand_tears_a_part_out(admin: TransactionAdmin, core: Core) -> None:
    producer = started(core, "a", "t", "u")
    one = found(admin, core, "t")[0]
    admin.abort(one.producer)
    assert producer.end(commit=True) is NONE
    assert (committed(core, "t"), committed(core, "u")) == ([], ["a u"])


def test_what_the_cluster_refuses(admin: TransactionAdmin, core: Core) -> None:
    with pytest.raises(KafkaError, match="'nobody': TRANSACTIONAL_ID_NOT_FOUND"):
        admin.described("nobody")
    with pytest.raises(KafkaError, match="topic nowhere: UNKNOWN_TOPIC_OR_PARTITION"):
        found(admin, core, "nowhere")
    started(core, "a", "t")
    old = OpenProducer(
        place=("t", 0), producer_id=0, producer_epoch=-1, coordinator_epoch=-1,
        last_timestamp_ms=0, start_offset=0,
    )  # fmt: skip
    with pytest.raises(KafkaError, match="abort at t-0: INVALID_PRODUCER_EPOCH"):
        admin.abort(old)


def test_transactions_are_listed_and_described(admin: TransactionAdmin, core: Core) -> None:
    started(core, "b", "t")
    started(core, "a")
    assert [(one.transactional_id, one.state) for one in admin.listed()] == [
        ("a", "Empty"), ("b", "Ongoing"),
    ]  # fmt: skip
    (one,) = admin.listed(["Ongoing"], pattern=".*", older_than_ms=-1)
    assert admin.described(one.transactional_id).partitions == {("t", 0)}
