"""Transactions against a model: any order of requests, zombies, timeouts, restarts and crashes.

Two producers share one transactional id each with their own zombies, and write to two partitions.
They speak transactions v1 or v2 as each step pleases, on a broker that is up- and downgraded.
The model is what a client may believe: a transaction whose commit was answered is visible, once and
whole; one that was aborted, fenced or never ended is never visible to read_committed.
"""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.broker.harness import Core
from tests.unit.broker.txn import Producer, committed

from tickertape.base.fake_fs import Loss
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.transaction import EPOCH_LAST
from tickertape.log.config import LogConfig
from tickertape.wire.error_codes import ErrorCode

NAMES = ("x", "y")
TIMEOUT_MS = 10_000
SETTINGS = BrokerSettings(
    offsets_topic_num_partitions=1,
    transaction_state_log_num_partitions=1,
    transaction_state_log_segment_bytes=600,
    log=LogConfig(segment_bytes=600),
)
NONE = ErrorCode.NONE


class TransactionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.core = Core(SETTINGS)
        self.core.create("t", 2)
        self.owners: dict[str, Producer] = {}
        self.zombies: list[Producer] = []
        self.open: dict[str, dict[int, list[str]]] = {name: {} for name in NAMES}
        self.visible: dict[int, set[str]] = {0: set(), 1: set()}
        self.numbers = 0
        for name in NAMES:
            self.take_over(name)

    def settle(self) -> None:
        self.core.broker.tick()
        for _ in range(3):
            self.core.sync()

    @rule(name=st.sampled_from(NAMES))
    def init(self, name: str) -> None:
        self.take_over(name)

    def take_over(self, name: str) -> None:
        producer = Producer(self.core, name, timeout_ms=TIMEOUT_MS)
        error = producer.init()
        if error is ErrorCode.CONCURRENT_TRANSACTIONS:
            self.settle()
            error = producer.init()
        assert error is NONE
        old = self.owners.get(name)
        if old is not None:
            assert (producer.id, producer.epoch) > (old.id, old.epoch)
            self.zombies.append(old)
        self.owners[name] = producer
        self.open[name] = {}

    @rule(level=st.sampled_from([1, 2]))
    def change(self, level: int) -> None:
        self.core.broker.features.change({"transaction.version": level})

    @rule(name=st.sampled_from(NAMES), partition=st.sampled_from([0, 1]))
    def add(self, name: str, partition: int) -> None:
        producer = self.owners[name]
        error = producer.begin("t", partition=partition)
        if error is NONE:
            self.open[name].setdefault(partition, [])
        else:
            assert error in {ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_ID_MAPPING}
            assert not self.still_in_time(name)  # it was late

    def still_in_time(self, name: str) -> bool:
        found = self.core.broker.transactions.find(name)
        assert found is not None
        owner = self.owners[name]
        return (found.producer_id, found.epoch) == (owner.id, owner.epoch)

    @rule(
        name=st.sampled_from(NAMES), count=st.integers(1, 3), commit=st.booleans(),
        v2=st.booleans(), last=st.booleans(),
    )  # fmt: skip
    def whole(self, name: str, count: int, *, commit: bool, v2: bool, last: bool) -> None:
        """``last``: with the last epoch of its producer id."""
        self.take_over(name)
        if last:
            entry = self.core.broker.transactions._entries[name]
            entry.current = replace(entry.current, epoch=EPOCH_LAST)
            self.owners[name].epoch = EPOCH_LAST
        for number in range(count):
            if not v2:
                self.add(name, number % 2)
            self.send(name, number % 2, v2=v2)
        self.end(name, commit=commit, v2=v2)

    @rule(name=st.sampled_from(NAMES), partition=st.sampled_from([0, 1]), v2=st.booleans())
    def send(self, name: str, partition: int, *, v2: bool) -> None:
        producer = self.owners[name]
        self.numbers += 1
        value = f"{name}{self.numbers}"
        in_time = self.still_in_time(name)
        error = producer.send("t", value, partition=partition, version=12 if v2 else 9)
        if not in_time:
            assert error in {
                ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.INVALID_PRODUCER_ID_MAPPING,
            }  # fmt: skip
        elif v2 or partition in self.open[name]:
            assert error is NONE
            self.open[name].setdefault(partition, []).append(value)
        else:
            assert error is ErrorCode.INVALID_TXN_STATE

    @rule(name=st.sampled_from(NAMES), commit=st.booleans(), v2=st.booleans(), again=st.booleans())
    def end(self, name: str, *, commit: bool, v2: bool, again: bool = False) -> None:
        """``again``: the answer is lost, and the request repeated."""
        producer = self.owners[name]
        in_time, before = self.still_in_time(name), replace(producer)
        error = producer.end(commit=commit, version=5 if v2 else 3)
        if not in_time:
            self.late_end(name, error, commit=commit, v2=v2)
        elif self.open[name]:
            assert error is NONE
            if commit:
                for partition, values in self.open[name].items():
                    self.visible[partition].update(values)
        elif v2:
            assert error is (ErrorCode.INVALID_TXN_STATE if commit else NONE)
        if in_time and v2 and error is NONE:
            self.zombies.append(before)
            assert (producer.id, producer.epoch) > (before.id, before.epoch)
            if again:
                repeated = replace(before)
                assert repeated.end(commit=commit, version=5) is NONE
                assert (repeated.id, repeated.epoch) == (producer.id, producer.epoch)
        self.open[name] = {}

    def late_end(self, name: str, error: ErrorCode, *, commit: bool, v2: bool) -> None:
        """It timed out. A v2 abort is then what the broker has done already, and goes on."""
        known = {ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_ID_MAPPING}
        if v2:
            known |= {ErrorCode.INVALID_TXN_STATE} if commit else {NONE}
        assert error in known
        if error is NONE:
            assert self.still_in_time(name)

    @rule(
        number=st.integers(0, 5), commit=st.booleans(), partition=st.sampled_from([0, 1]),
        v2=st.booleans(),
    )  # fmt: skip
    def zombie(self, number: int, partition: int, *, commit: bool, v2: bool) -> None:
        """It can neither write nor end anything, nor come back by saying who it was."""
        if not self.zombies:
            return
        zombie = replace(self.zombies[-1 - number % len(self.zombies)], sequences={})
        fenced = {ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_ID_MAPPING}
        assert zombie.begin("t") in fenced
        refused = zombie.send("t", "zombie", partition=partition, version=12 if v2 else 9)
        assert refused in {
            ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.INVALID_PRODUCER_ID_MAPPING,
        }  # fmt: skip
        if not v2:
            assert zombie.end(commit=commit) in fenced

    @rule(ms=st.sampled_from([100, 100, 100, TIMEOUT_MS]))
    def wait(self, ms: int) -> None:
        self.core.pass_ms(ms)
        self.settle()
        for name in self.owners:
            if not self.still_in_time(name):
                self.open[name] = {}

    @rule(loss=st.sampled_from([Loss.ALL, Loss.TORN, Loss.NOTHING]))
    def crash(self, loss: Loss) -> None:
        self.core.crash(loss)
        self.settle()

    @rule()
    def restart(self) -> None:
        self.core.restart()
        self.settle()

    @invariant()
    def committed_once_and_nothing_else(self) -> None:
        held = any(values for parts in self.open.values() for values in parts.values())
        for partition, wanted in self.visible.items():
            seen = committed(self.core, "t", partition)
            assert len(seen) == len(set(seen))
            assert set(seen) <= wanted
            if not held:
                assert set(seen) == wanted


TestTransactions = TransactionMachine.TestCase
TestTransactions.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
