"""Power is cut at every write of a life of admin requests: each that was answered holds.

The one that the cut hit may have happened or not; the broker starts in either case and works.
"""

from collections.abc import Callable

import pytest
from tests.unit.broker.harness import Core, batch, produced

from tickertape.base.fake_fs import FakeFileSystem, Loss, PowerCut
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.topics import Topic
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.schema.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
)
from tickertape.wire.schema.delete_groups import DeleteGroupsRequest, DeleteGroupsResponse
from tickertape.wire.schema.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopic,
)
from tickertape.wire.schema.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from tickertape.wire.schema.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
)

SETTINGS = BrokerSettings(offsets_topic_num_partitions=1)
NEVER = 1 << 30  # as a cut: no call is the billionth


def topic_of(core: Core) -> Topic:
    topic = core.broker.topics.get("t")
    assert topic is not None
    return topic


def create(core: Core) -> None:
    core.create("t", 1)


def send(core: Core) -> None:
    assert produced(core.produce("t", batch("a", "b", "c"))).error == 0


def configure(core: Core) -> None:
    change = AlterableConfig(name="max.message.bytes", config_operation=0, value="77777")
    resource = AlterConfigsResource(resource_type=2, resource_name="t", configs=[change])
    ask = IncrementalAlterConfigsRequest(resources=[resource])
    response = core.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, ask, IncrementalAlterConfigsResponse)
    assert response.responses[0].error_code == 0


def grow(core: Core) -> None:
    wanted = CreatePartitionsTopic(name="t", count=3, assignments=None)
    ask = CreatePartitionsRequest(topics=[wanted])
    response = core.ask(ApiKey.CREATE_PARTITIONS, 3, ask, CreatePartitionsResponse)
    assert response.results[0].error_code == 0


def trim(core: Core) -> None:
    part = DeleteRecordsPartition(partition_index=0, offset=2)
    ask = DeleteRecordsRequest(topics=[DeleteRecordsTopic(name="t", partitions=[part])])
    response = core.ask(ApiKey.DELETE_RECORDS, 2, ask, DeleteRecordsResponse)
    assert response.topics[0].partitions[0].error_code == 0


def commit(core: Core) -> None:
    for group in ("doomed", "trimmed"):
        part = OffsetCommitRequestPartition(partition_index=0, committed_offset=3)
        where = OffsetCommitRequestTopic(name="t", partitions=[part])
        ask = OffsetCommitRequest(group_id=group, topics=[where])
        response = core.ask(ApiKey.OFFSET_COMMIT, 8, ask, OffsetCommitResponse)
        assert response.topics[0].partitions[0].error_code == 0


def delete_group(core: Core) -> None:
    ask = DeleteGroupsRequest(groups_names=["doomed"])
    response = core.ask(ApiKey.DELETE_GROUPS, 2, ask, DeleteGroupsResponse)
    assert response.results[0].error_code == 0


def delete_offset(core: Core) -> None:
    part = OffsetDeleteRequestPartition(partition_index=0)
    where = OffsetDeleteRequestTopic(name="t", partitions=[part])
    ask = OffsetDeleteRequest(group_id="trimmed", topics=[where])
    response = core.ask(ApiKey.OFFSET_DELETE, 0, ask, OffsetDeleteResponse)
    assert (response.error_code, response.topics[0].partitions[0].error_code) == (0, 0)


def log_start(core: Core) -> int:
    partition = core.broker.topics.partition("t", 0)
    assert partition is not None
    return partition.log.log_start_offset


def log_end(core: Core) -> int:
    partition = core.broker.topics.partition("t", 0)
    assert partition is not None
    return partition.log.end_offset


def has_offset(core: Core, group: str) -> bool:
    return bool(core.broker.groups.offsets.of_group(group))


STEPS: list[tuple[Callable[[Core], None], Callable[[Core], bool]]] = [
    (create, lambda core: core.broker.topics.get("t") is not None),
    (send, lambda core: log_end(core) == 3),
    (configure, lambda core: topic_of(core).configs == {"max.message.bytes": "77777"}),
    (grow, lambda core: len(topic_of(core).partitions) == 3),
    (trim, lambda core: log_start(core) == 2),
    (commit, lambda core: core.broker.topics.get("__consumer_offsets") is not None),
    (delete_group, lambda core: core.broker.groups.find("doomed") is None),
    (delete_offset, lambda core: not has_offset(core, "trimmed")),
]

STEPS_BEFORE_DELETIONS = 6


@pytest.mark.parametrize("loss", list(Loss))
def test_what_was_answered_holds_after_every_cut(loss: Loss) -> None:
    for nth in range(1, 1_000):
        core = Core(SETTINGS, FakeFileSystem(seed=nth))
        core.fs.cut_at(nth)
        answered = 0
        try:
            for step, _ in STEPS:
                step(core)
                answered += 1
        except PowerCut:
            pass
        core.fs.cut_at(NEVER)
        core.crash(loss)
        for number in range(answered):
            assert STEPS[number][1](core), f"cut {nth}: {STEPS[number][0].__name__} was answered"
        if answered == STEPS_BEFORE_DELETIONS:
            assert has_offset(core, "trimmed")  # only the other group was being deleted
        if core.broker.topics.get("t") is not None:
            for index in range(len(topic_of(core).partitions)):
                assert produced(core.produce("t", batch("x"), partition=index)).error == 0
        if answered == len(STEPS):
            assert nth > 20
            return
    pytest.fail("the life never came to its end")
