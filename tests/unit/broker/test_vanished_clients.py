"""Clients that vanish in the middle of something leave no state that never expires."""

from tests.unit.broker.harness import Core, FakeCall, batch, fetched, produced
from tests.unit.broker.txn import Producer

from tickertape.base.fake_fs import Loss
from tickertape.broker.state.settings import BrokerSettings
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.join_group import (
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
)

SESSION_MS = 10_000
REBALANCE_MS = 60_000
DAY_MS = 86_400_000


def join(core: Core, group: str, member_id: str = "", version: int = 3) -> FakeCall:
    ask = JoinGroupRequest(
        group_id=group,
        session_timeout_ms=SESSION_MS,
        rebalance_timeout_ms=REBALANCE_MS,
        member_id=member_id,
        protocol_type="consumer",
        protocols=[JoinGroupRequestProtocol(name="range", metadata=b"x")],
    )
    return core.send(ApiKey.JOIN_GROUP, version, ask.encode(version))


def small_core() -> Core:
    return Core(BrokerSettings(offsets_topic_num_partitions=2))


def test_a_member_that_vanishes_while_it_waits_for_the_others() -> None:
    core = small_core()
    first = join(core, "g").read(JoinGroupResponse, ApiKey.JOIN_GROUP, 3)
    assert first.error_code == 0
    waiting = join(core, "g")  # waits for the first, which has vanished too
    assert not waiting.answered
    waiting.gone = True
    core.pass_ms(SESSION_MS + REBALANCE_MS)
    third = join(core, "g")
    core.pass_ms(SESSION_MS + REBALANCE_MS)
    answer = third.read(JoinGroupResponse, ApiKey.JOIN_GROUP, 3)
    assert [member.member_id for member in answer.members] == [answer.member_id]


def test_groups_whose_members_have_all_vanished_are_forgotten() -> None:
    core = small_core()
    for number in range(200):
        join(core, f"g{number}", version=3 if number % 2 else 5)  # 5: asked for a member id only
    assert len(list(core.broker.groups)) == 200
    core.pass_ms(SESSION_MS + REBALANCE_MS)
    core.pass_ms(DAY_MS)
    assert list(core.broker.groups) == []
    core.crash(Loss.ALL)
    assert list(core.broker.groups) == []


def test_a_transaction_whose_producer_has_vanished_is_aborted_and_then_forgotten() -> None:
    core = small_core()
    core.create("t")
    producer = Producer(core, "vanishes", timeout_ms=30_000)
    assert producer.init() is ErrorCode.NONE
    assert producer.begin("t") is ErrorCode.NONE
    assert producer.send("t", "never") is ErrorCode.NONE
    assert fetched(core.fetch("t", 0)).last_stable_offset == 0
    core.pass_ms(31_000)
    for _ in range(3):  # the decision, the marker, the end: each waits for the disk
        core.sync()
    assert fetched(core.fetch("t", 0)).last_stable_offset == 2  # the record and its abort marker
    core.pass_ms(8 * DAY_MS)
    core.sync()
    assert core.broker.transactions.find("vanishes") is None


def test_long_polls_and_produces_of_clients_that_have_gone_are_dropped() -> None:
    core = small_core()
    core.create("t")
    core.auto_sync = False
    polls = [core.fetch("t", 0, max_wait_ms=30_000) for _ in range(50)]
    asked = core.produce("t", batch("a"))
    for call in (*polls, asked):
        call.gone = True
    core.pass_ms(31_000)
    core.sync()
    assert len(core.broker.durability.waits) == 0
    core.auto_sync = True
    assert produced(core.produce("t", batch("b"))).base_offset == 1
