"""Power is cut at every write, sync and rename of a life of the core: what was acknowledged stays.

The life: topics are made, an idempotent producer sends, offsets are committed, segments roll. After
the cut the producer sends its last batch again, as a client does: it is in the log once, whether or
not its first answer came.
"""

from dataclasses import dataclass, field

import pytest
from tests.unit.broker.harness import Core, FakeCall, batch, fetched, produced, values_of

from tickertape.base.fake_fs import FakeFileSystem, Loss, PowerCut
from tickertape.broker.state.settings import BrokerSettings
from tickertape.log.config import LogConfig
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)

SENDS = 8
NEVER = 1 << 30  # as a cut: no call is the billionth
SETTINGS = BrokerSettings(
    offsets_topic_num_partitions=1,
    offsets_topic_segment_bytes=300,
    log=LogConfig(segment_bytes=300),
)


@dataclass
class Life:
    """What happened before the lights went out."""

    core: Core
    created: bool = False
    sent: int = 0
    acknowledged: int = 0
    commits: list[int] = field(default_factory=list)

    def run(self) -> None:
        self.core.create("t")
        self.created = True
        for number in range(SENDS):
            self.sent = number + 1
            assert produced(self.send(number)).base_offset == number
            self.acknowledged = number + 1
            assert self.commit(number + 1) is ErrorCode.NONE
            self.commits.append(number + 1)

    def send(self, number: int) -> FakeCall:
        one = batch(f"v{number}", producer_id=9, producer_epoch=0, base_sequence=number)
        return self.core.produce("t", one)

    def commit(self, offset: int) -> ErrorCode:
        part = OffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
        ask = OffsetCommitRequest(
            group_id="g", topics=[OffsetCommitRequestTopic(name="t", partitions=[part])]
        )
        response = self.core.ask(ApiKey.OFFSET_COMMIT, 8, ask, OffsetCommitResponse)
        return ErrorCode(response.topics[0].partitions[0].error_code)

    def judge(self) -> None:
        """Called after the crash and the new start."""
        if self.core.broker.topics.get("t") is None:
            assert not self.created
            return
        found = values_of(fetched(self.core.fetch("t", 0)))
        whole = self.everything()
        assert found == whole[: len(found)]
        assert self.acknowledged <= len(whole) <= self.sent
        assert whole == [f"v{number}" for number in range(len(whole))]
        if self.sent:
            again = produced(self.send(self.sent - 1))
            assert (again.error, again.base_offset) == (ErrorCode.NONE, self.sent - 1)
            assert self.everything() == [f"v{number}" for number in range(self.sent)]
        stored = self.core.broker.groups.offsets.of_group("g").get(("t", 0))
        last = self.commits[-1] if self.commits else None
        if last is not None:
            assert stored is not None
            assert stored.offset in {last, last + 1}

    def everything(self) -> list[str]:
        values: list[str] = []
        while True:
            more = values_of(fetched(self.core.fetch("t", len(values))))
            if not more:
                return values
            values += more


@pytest.mark.parametrize("loss", list(Loss))
def test_every_cut(loss: Loss) -> None:
    for nth in range(1, 1_000):
        life = Life(Core(SETTINGS, FakeFileSystem(seed=nth)))
        life.core.fs.cut_at(nth)
        try:
            life.run()
        except PowerCut:
            life.core.crash(loss)
            life.judge()
        else:
            assert nth > 50
            life.core.fs.cut_at(NEVER)
            life.core.crash(loss)
            life.judge()
            return
    pytest.fail("the life never came to its end")


def test_every_cut_of_the_recovery_itself() -> None:
    for nth in range(1, 100):
        life = Life(Core(SETTINGS))
        life.run()
        life.core.fs.crash(Loss.TORN)
        life.core.fs.cut_at(nth)
        try:
            life.core.start()
        except PowerCut:
            life.core.crash(Loss.TORN)
            life.judge()
        else:
            assert nth > 1
            life.core.fs.cut_at(NEVER)
            life.judge()
            return
    pytest.fail("recovery never came to its end")
