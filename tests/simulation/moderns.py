"""Members of the consumer protocol (KIP-848): the coordinator assigns, each goes at its own pace.

What a member is told to give up it has given up when it says so; what it is given is its own until
then, or until it was silent for as long as a session lasts. A commit with an epoch that is over is
refused. No request arrives late: one that says what a member owned once would give away what it
owns now.
"""

from typing import Final
from uuid import UUID

from tests.simulation.client import NONE, RETRIABLE
from tests.simulation.consumers import Reader
from tests.simulation.model import Attempt, Part, Topic, Where
from tests.simulation.verdict import demand

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    RequestTopicPartitions,
)
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)

SESSION_MS: Final = 3_000
JOINING: Final = 0
LEAVING: Final = -1
ANEW: Final = frozenset({ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID})
STALE: Final = frozenset({*ANEW, ErrorCode.STALE_MEMBER_EPOCH, ErrorCode.GROUP_ID_NOT_FOUND})


class Modern(Reader):
    """One process of a group; it makes its own member id."""

    def __init__(self, *args: object, group: str, topics: list[Topic]) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # a Client's own
        self.group = group
        self.topics = topics
        self.member_id = f"id of {self.name}"
        self.epoch = JOINING
        self.mine: frozenset[Part] = frozenset()
        self.names: dict[UUID, str] = {}  # of topics that stay
        self.tells_all = True
        self.next_offset = 0

    async def run(self) -> None:
        for topic in self.topics:
            if topic.kind != "volatile" and (topic_id := await self.topic_id(topic.name)):
                self.names[topic_id] = topic.name
        while not self.stopping:
            await self._heartbeat()
            if self.epoch != JOINING and self.world.chance(0.5):
                await self._commit()
            await self.pause(900)
        self._owns(frozenset(), self.world.now_ms)
        self.epoch = LEAVING
        await self._ask()

    # -- membership

    async def _heartbeat(self) -> None:
        sent_ms = self.world.now_ms
        got = await self._ask()
        if got is None:
            self.tells_all = True
            return
        error = ErrorCode(got.error_code)
        if error in ANEW:
            self.say(f"{error.name}")
            self._owns(frozenset(), sent_ms)
            self.epoch = JOINING
        demand(error is NONE or error in RETRIABLE or error in ANEW, f"{self.name}: {error.name}")
        self.tells_all = error is not NONE
        if error is not NONE:
            return
        demand(
            got.member_epoch >= max(self.epoch, 1),
            f"{self.name} of epoch {self.epoch} was told epoch {got.member_epoch}",
        )
        self.epoch = got.member_epoch
        if got.assignment is None:
            self._owns(self.mine, sent_ms)
            return
        told = frozenset(
            (topic.topic_id, index)
            for topic in got.assignment.topic_partitions
            for index in topic.partitions
        )
        if told != self.mine:
            self.say(f"epoch {self.epoch}: {sorted(told)}")
            self.tells_all = True
        self._owns(told, sent_ms)

    def _owns(self, parts: frozenset[Part], sent_ms: int) -> None:
        self.mine = parts
        self.model.owns(self.group, self.member_id, parts, sent_ms + SESSION_MS)

    async def _ask(self) -> ConsumerGroupHeartbeatResponse | None:
        ask = ConsumerGroupHeartbeatRequest(
            group_id=self.group, member_id=self.member_id, member_epoch=self.epoch
        )
        if self.epoch == JOINING or self.tells_all:
            ask.rebalance_timeout_ms = 2 * SESSION_MS
            ask.subscribed_topic_names = [topic.name for topic in self.topics]
            ask.topic_partitions = [
                RequestTopicPartitions(topic_id=topic_id, partitions=[index])
                for topic_id, index in sorted(self.mine)
            ]
        return await self.ask(
            ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, ask, ConsumerGroupHeartbeatResponse
        )

    # -- offsets

    async def _commit(self) -> None:
        mine: list[Where] = [(self.names[t], n) for t, n in sorted(self.mine) if t in self.names]
        if not mine:
            return
        where = self.rng.choice(mine)
        stale = self.epoch > 1 and self.world.chance(0.2)
        self.next_offset += self.rng.randint(1, 5)
        part = OffsetCommitRequestPartition(
            partition_index=where[1], committed_offset=self.next_offset
        )
        ask = OffsetCommitRequest(
            group_id=self.group,
            generation_id_or_member_epoch=self.epoch - stale,
            member_id=self.member_id,
            topics=[OffsetCommitRequestTopic(name=where[0], partitions=[part])],
        )
        attempt = Attempt(self.next_offset, self.world.step, refused=stale)
        self.model.commits.setdefault((self.group, where), []).append(attempt)
        got = await self.ask(ApiKey.OFFSET_COMMIT, 9, ask, OffsetCommitResponse)
        if got is None:
            self.tells_all = True
            return
        error = ErrorCode(got.topics[0].partitions[0].error_code)
        legal = error in STALE or error in RETRIABLE or (error is NONE and not stale)
        demand(legal, f"{self.name}: commit with epoch {self.epoch - stale}: {error.name}")
        if error is NONE:
            attempt.answered = self.world.step
            self.model.count("commits by epoch")
        elif error in STALE:
            attempt.refused = True
            self.model.count("stale commits")
