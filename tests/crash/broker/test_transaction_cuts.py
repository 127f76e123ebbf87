"""Power is cut at every write, sync and rename of a life full of transactions.

The life: transactions over two partitions, with an offset each, are committed and aborted in turn.
After the cut the producer starts anew, as a client does. What was answered as committed is there
once and whole; what was aborted, or never decided, is never seen; offset and records agree.
"""

from dataclasses import dataclass, field

import pytest
from tests.unit.broker.harness import Core
from tests.unit.broker.txn import Producer, committed, group_offset

from tickertape.base.fake_fs import FakeFileSystem, Loss, PowerCut
from tickertape.broker.state.settings import BrokerSettings
from tickertape.log.config import LogConfig
from tickertape.wire.error_codes import ErrorCode

TRANSACTIONS = 6
CHUNKS = 4  # one test each, so that a busy machine has time for it
CALLS_MAX = 5_000
NEVER = 1 << 30  # as a cut: no call is the billionth
SETTINGS = BrokerSettings(
    offsets_topic_num_partitions=1,
    offsets_topic_segment_bytes=400,
    transaction_state_log_num_partitions=1,
    transaction_state_log_segment_bytes=400,
    log=LogConfig(segment_bytes=400),
)
NONE = ErrorCode.NONE


@dataclass
class Life:
    """What happened before the lights went out."""

    core: Core
    v2: bool = False
    created: bool = False
    answered: list[int] = field(default_factory=list)  # transactions answered as committed
    asked: int = -1  # the commit that was asked for and perhaps not answered

    def run(self) -> None:
        self.core.create("t", 2)
        self.created = True
        producer = self.start()
        for number in range(TRANSACTIONS):
            self.one(producer, number)

    def one(self, producer: Producer, number: int) -> None:
        if not self.v2:
            assert producer.begin("t") is NONE
            assert producer.begin("t", partition=1) is NONE
            assert producer.begin_offsets("g") is NONE
        produce, offsets, end = (12, 5, 5) if self.v2 else (9, 3, 3)
        assert producer.send("t", f"{number}a", version=produce) is NONE
        assert producer.send("t", f"{number}b", partition=1, version=produce) is NONE
        assert producer.send_offset("g", "t", number, version=offsets) is NONE
        commit = number % 3 != 1
        self.asked = number if commit else -1
        assert producer.end(commit=commit, version=end) is NONE
        if commit:
            self.answered.append(number)
        self.asked = -1

    def start(self) -> Producer:
        """Until the coordinator has carried out what was decided."""
        producer = Producer(self.core)
        for _ in range(10):
            error = producer.init()
            if error is NONE:
                return producer
            assert error is ErrorCode.CONCURRENT_TRANSACTIONS
            self.core.clock.advance(1_000)
            self.core.broker.tick()
            for _ in range(3):
                self.core.sync()
        raise AssertionError("never initialised")

    def judge(self) -> None:
        """Called after the crash and the new start."""
        if self.core.broker.topics.get("t") is None:
            assert not self.created
            return
        producer = self.start()
        found = [value[0] for value in committed(self.core, "t")]
        legal = [[str(number) for number in self.answered]]
        if self.asked >= 0:
            legal.append([*legal[0], str(self.asked)])
        assert found in legal
        assert committed(self.core, "t") == [f"{number}a" for number in found]
        assert committed(self.core, "t", 1) == [f"{number}b" for number in found]
        offset = int(found[-1]) if found else -1
        assert group_offset(self.core, "g", "t", stable=True) == (0, offset)
        assert producer.begin("t") is NONE
        assert producer.send("t", "9a") is NONE
        assert producer.end(commit=True) is NONE
        assert committed(self.core, "t")[-1] == "9a"


@pytest.mark.parametrize("v2", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize(
    ("loss", "chunk"),
    [
        *((Loss.TORN, chunk) for chunk in range(0, CHUNKS, 2)),
        *((Loss.SCATTERED, chunk) for chunk in range(1, CHUNKS, 2)),
        *((Loss.ALL, chunk) for chunk in range(0, CHUNKS, 2)),  # half of the cuts each:
        *((Loss.NOTHING, chunk) for chunk in range(1, CHUNKS, 2)),  # seeds may be too
    ],
)
@pytest.mark.slow
def test_every_cut(loss: Loss, v2: bool, chunk: int) -> None:  # noqa: FBT001  # a parameter
    assert cut_everywhere(loss, range(1 + chunk, CALLS_MAX, CHUNKS), v2=v2) > 200


@pytest.mark.parametrize("v2", [False, True], ids=["v1", "v2"])
def test_some_cuts(v2: bool) -> None:  # noqa: FBT001  # a parameter
    assert cut_everywhere(Loss.TORN, range(1, CALLS_MAX, 17), v2=v2) > 200


def cut_everywhere(loss: Loss, cuts: range, *, v2: bool) -> int:
    """The first of ``cuts`` that the life does not reach; cut at each before it."""
    for nth in cuts:
        life = Life(Core(SETTINGS, FakeFileSystem(seed=nth)), v2)
        life.core.fs.cut_at(nth)
        try:
            life.run()
        except PowerCut:
            life.core.crash(loss)
            life.judge()
        else:
            life.core.fs.cut_at(NEVER)
            life.core.crash(loss)
            life.judge()
            return nth
    pytest.fail("the life never came to its end")
