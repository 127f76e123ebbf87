"""The operator: makes topics, deletes and makes some again, deletes records, changes configs."""

from tests.simulation.client import Client
from tests.simulation.consumers import LATEST, Reader
from tests.simulation.model import Topic
from tests.simulation.verdict import ViolationError

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from tickertape.wire.schema.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopic,
)
from tickertape.wire.schema.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse
from tickertape.wire.schema.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)

CONFIGS = {
    "plain": {"retention.ms": "-1"},
    "compacted": {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"},
    "retained": {"retention.bytes": "1500", "retention.ms": "-1"},
    "volatile": {"retention.ms": "-1"},
}


async def create(client: Client, topic: Topic) -> None:
    """Until it exists."""
    configs = [CreatableTopicConfig(name=k, value=v) for k, v in CONFIGS[topic.kind].items()]
    one = CreatableTopic(
        name=topic.name,
        num_partitions=topic.partitions,
        replication_factor=1,
        configs=configs,
    )
    while True:
        got = await client.insist(
            ApiKey.CREATE_TOPICS, 7, CreateTopicsRequest(topics=[one]), CreateTopicsResponse
        )
        error = ErrorCode(got.topics[0].error_code)
        if error in {ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS}:
            last = topic.deletions[-1][0] if topic.deletions else -1
            if not topic.created_steps or topic.created_steps[-1] < last:
                topic.created_steps.append(client.world.step)
            return
        client.say(f"create {topic.name}: {error.name}")
        await client.pause(500)


class Admin(Reader):
    """See the module."""

    lingers = False  # a deletion that arrives late would hit the next topic of that name

    def __init__(self, *args: object, topics: list[Topic]) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # a Client's own
        self.topics = topics

    async def run(self) -> None:
        while not self.stopping:
            await self.pause(3_000)
            topic = self.rng.choice(self.topics)
            if topic.kind == "volatile":
                await self._delete(topic)
                await self.pause(300)
                await create(self, topic)
            elif topic.kind == "plain" and self.world.chance(0.5):
                await self._delete_records(topic)
            else:
                await self._configure(topic)

    async def _delete(self, topic: Topic) -> None:
        """Until it does not exist."""
        asked = self.world.step
        self.say(f"deletes {topic.name}")
        topic.deletions.append((asked, None))
        ask = DeleteTopicsRequest(topic_names=[topic.name])
        while True:
            got = await self.insist(ApiKey.DELETE_TOPICS, 5, ask, DeleteTopicsResponse)
            error = ErrorCode(got.responses[0].error_code)
            if error in {ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}:
                break
            await self.pause(500)
        topic.deletions[-1] = (asked, self.world.step)
        self.model.count("topics deleted")

    async def _delete_records(self, topic: Topic) -> None:
        where = (topic.name, self.rng.randrange(topic.partitions))
        marks = self.model.marks_of(where)
        end = await self.offset_of(where, LATEST, committed=True)
        if end <= 0:
            return
        offset = self.rng.randint(0, end)
        marks.deletable_below = max(marks.deletable_below, offset)
        ask = DeleteRecordsRequest(
            topics=[
                DeleteRecordsTopic(
                    name=where[0],
                    partitions=[DeleteRecordsPartition(partition_index=where[1], offset=offset)],
                )
            ],
            timeout_ms=1_000,
        )
        got = await self.ask(ApiKey.DELETE_RECORDS, 2, ask, DeleteRecordsResponse)
        if got is None:
            return
        error = ErrorCode(got.topics[0].partitions[0].error_code)
        self.say(f"deletes {where} below {offset}: {error.name}")
        if error is ErrorCode.NONE:
            marks.deleted_below = max(marks.deleted_below, offset)
            self.model.count("records deleted")
        elif error not in {ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}:
            raise ViolationError(f"DeleteRecords {where} below {offset} of {end}: {error.name}")

    async def _configure(self, topic: Topic) -> None:
        key, value = "segment.bytes", self.rng.choice(("300", "700", "2000"))
        if topic.kind == "compacted" and self.world.chance(0.5):
            key, value = "cleanup.policy", self.rng.choice(("compact", "delete"))
        one = AlterConfigsResource(
            resource_type=2,
            resource_name=topic.name,
            configs=[AlterableConfig(name=key, config_operation=0, value=value)],
        )
        ask = IncrementalAlterConfigsRequest(resources=[one])
        got = await self.ask(
            ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, ask, IncrementalAlterConfigsResponse
        )
        if got is not None:
            error = ErrorCode(got.responses[0].error_code)
            self.say(f"{topic.name} {key}={value}: {error.name}")
