"""A topic is deleted and made again: what was committed in the old one does not come back.

Not at once, not when a commit on its way becomes durable, and not after a power cut or a failed
sync that takes the tombstones.
"""

import pytest
from tests.unit.broker.harness import Core, FakeCall
from tests.unit.broker.txn import Producer, group_offset

from tickertape.base.fake_fs import Loss
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)


def commit(core: Core, offset: int) -> FakeCall:
    part = OffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
    topic = OffsetCommitRequestTopic(name="t", partitions=[part])
    ask = OffsetCommitRequest(group_id="g", topics=[topic])
    return core.send(ApiKey.OFFSET_COMMIT, 8, ask.encode(8))


def recreate(core: Core) -> None:
    ask = DeleteTopicsRequest(topic_names=["t"])
    deleted = core.ask(ApiKey.DELETE_TOPICS, 5, ask, DeleteTopicsResponse)
    assert deleted.responses[0].error_code == 0
    core.create("t")


def test_not_at_once() -> None:
    core = Core()
    core.create("t")
    commit(core, 7)
    assert group_offset(core, "g", "t") == (0, 7)
    core.auto_sync = False
    recreate(core)
    assert group_offset(core, "g", "t") == (0, -1)


def test_not_when_a_commit_on_its_way_becomes_durable() -> None:
    core = Core()
    core.create("t")
    core.auto_sync = False
    call = commit(core, 7)
    recreate(core)
    core.sync()
    assert call.answered
    assert group_offset(core, "g", "t") == (0, -1)


@pytest.mark.parametrize("commits_again", [False, True])
def test_not_after_a_power_cut_that_takes_the_tombstones(
    commits_again: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    core = Core()
    core.create("t")
    commit(core, 7)
    core.auto_sync = False
    recreate(core)
    core.crash(Loss.ALL)
    assert group_offset(core, "g", "t") == (0, -1)
    core.auto_sync = True
    if commits_again:
        commit(core, 2)
    core.crash(Loss.ALL)
    assert group_offset(core, "g", "t") == (0, 2 if commits_again else -1)


def test_not_with_the_end_of_a_transaction() -> None:
    core = Core()
    core.create("t")
    core.create("other")
    producer = Producer(core)
    assert producer.init() is ErrorCode.NONE
    assert producer.begin("other") is ErrorCode.NONE
    assert producer.begin_offsets("g") is ErrorCode.NONE
    assert producer.send_offset("g", "t", 7) is ErrorCode.NONE
    core.auto_sync = False
    recreate(core)
    core.crash(Loss.ALL)
    core.auto_sync = True
    assert producer.end(commit=True) is ErrorCode.NONE
    assert group_offset(core, "g", "t") == (0, -1)
