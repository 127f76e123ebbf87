"""Members of a classic consumer group: join, sync, heartbeat, commit, leave, vanish.

The leader deals the partitions out in turn. A member commits only what it was assigned, in the
generation in which it was; what a Fetch of committed offsets answers is judged by the model.
"""

from typing import Final

from tests.simulation.client import NONE, RETRIABLE
from tests.simulation.consumers import Reader
from tests.simulation.model import Attempt, Topic, Where
from tests.simulation.verdict import ViolationError, demand

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.heartbeat import HeartbeatRequest, HeartbeatResponse
from tickertape.wire.schema.join_group import (
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
)
from tickertape.wire.schema.leave_group import (
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberIdentity,
)
from tickertape.wire.schema.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from tickertape.wire.schema.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestTopic,
    OffsetFetchResponse,
)
from tickertape.wire.schema.sync_group import (
    SyncGroupRequest,
    SyncGroupRequestAssignment,
    SyncGroupResponse,
)

SESSION_MS: Final = 3_000
REJOIN: Final = frozenset(
    {
        ErrorCode.REBALANCE_IN_PROGRESS,
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.MEMBER_ID_REQUIRED,
    }
)


class Member(Reader):
    """One process of a group; a dynamic member."""

    def __init__(self, *args: object, group: str, topics: list[Topic]) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # a Client's own
        self.group = group
        self.parts = [(topic.name, n) for topic in topics for n in range(topic.partitions)]
        self.member_id = ""
        self.generation = -1
        self.mine: list[Where] = []

    async def run(self) -> None:
        while not self.stopping:
            if await self._join():
                await self._work()
            await self.pause(400)
        await self._leave()

    # -- membership

    async def _join(self) -> bool:
        ask = JoinGroupRequest(
            group_id=self.group,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=2_000,
            member_id=self.member_id,
            protocol_type="consumer",
            protocols=[JoinGroupRequestProtocol(name="in turn", metadata=b"")],
        )
        joined = await self.ask(ApiKey.JOIN_GROUP, 5, ask, JoinGroupResponse)
        if joined is None:
            return False
        if joined.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = joined.member_id
        if joined.error_code:
            self._heed(ErrorCode(joined.error_code))
            return False
        self.member_id, self.generation = joined.member_id, joined.generation_id
        members = sorted(member.member_id for member in joined.members)
        shares = {id_: self.parts[n :: len(members)] for n, id_ in enumerate(members)}
        sync = SyncGroupRequest(
            group_id=self.group,
            generation_id=self.generation,
            member_id=self.member_id,
            assignments=[
                SyncGroupRequestAssignment(member_id=id_, assignment=_spell(parts))
                for id_, parts in shares.items()
            ],
        )
        got = await self.ask(ApiKey.SYNC_GROUP, 3, sync, SyncGroupResponse)
        if got is None:
            return False
        if got.error_code:
            self._heed(ErrorCode(got.error_code))
            return False
        self.mine = _unspell(got.assignment)
        self.model.assigned_to(self.group, self.generation, self.member_id, self.mine)
        self.say(f"generation {self.generation}: {self.mine}")
        return True

    def _heed(self, error: ErrorCode) -> None:
        if error is ErrorCode.UNKNOWN_MEMBER_ID:
            self.member_id = ""
        demand(error in REJOIN or error in RETRIABLE, f"{self.name}: {error.name}")

    async def _leave(self) -> None:
        if self.member_id:
            leaver = MemberIdentity(member_id=self.member_id)
            ask = LeaveGroupRequest(group_id=self.group, members=[leaver])
            await self.ask(ApiKey.LEAVE_GROUP, 3, ask, LeaveGroupResponse)

    # -- work

    async def _work(self) -> None:
        """Until it must join again."""
        positions: dict[Where, int] = {}
        for where in self.mine:
            found = await self._committed(where)
            if found is None:
                return
            positions[where] = max(found, 0)
        while not self.stopping:
            if self.mine and self.world.chance(0.7):
                where = self.rng.choice(self.mine)
                positions[where] += self.rng.randint(1, 5)
                error = await self._commit(where, positions[where])
            else:
                error = await self._heartbeat()
            if error is None or error in REJOIN:
                if error is ErrorCode.UNKNOWN_MEMBER_ID:
                    self.member_id = ""
                return
            demand(error is NONE or error in RETRIABLE, f"{self.name}: {error.name}")
            await self.pause(1_000)

    async def _heartbeat(self) -> ErrorCode | None:
        ask = HeartbeatRequest(
            group_id=self.group, generation_id=self.generation, member_id=self.member_id
        )
        got = await self.ask(ApiKey.HEARTBEAT, 3, ask, HeartbeatResponse)
        return None if got is None else ErrorCode(got.error_code)

    async def _commit(self, where: Where, offset: int) -> ErrorCode | None:
        part = OffsetCommitRequestPartition(partition_index=where[1], committed_offset=offset)
        ask = OffsetCommitRequest(
            group_id=self.group,
            generation_id_or_member_epoch=self.generation,
            member_id=self.member_id,
            topics=[OffsetCommitRequestTopic(name=where[0], partitions=[part])],
        )
        attempt = Attempt(offset, self.world.step)
        self.model.commits.setdefault((self.group, where), []).append(attempt)
        got = await self.ask(ApiKey.OFFSET_COMMIT, 7, ask, OffsetCommitResponse)
        if got is None:
            return None
        error = ErrorCode(got.topics[0].partitions[0].error_code)
        if error is NONE:
            attempt.answered = self.world.step
            self.model.count("commits of offsets")
        elif error in REJOIN:
            attempt.refused = True
        return error

    async def _committed(self, where: Where) -> int | None:
        asked = self.world.step
        ask = OffsetFetchRequest(
            group_id=self.group,
            topics=[OffsetFetchRequestTopic(name=where[0], partition_indexes=[where[1]])],
        )
        got = await self.ask(ApiKey.OFFSET_FETCH, 7, ask, OffsetFetchResponse)
        if got is None or got.error_code:
            return None
        part = got.topics[0].partitions[0]
        if part.error_code:
            raise ViolationError(f"{self.name}: OffsetFetch: {ErrorCode(part.error_code).name}")
        self.model.committed(self.group, where, part.committed_offset, asked)
        return part.committed_offset


def _spell(parts: list[Where]) -> bytes:
    return ",".join(f"{topic}/{index}" for topic, index in parts).encode()


def _unspell(assignment: bytes) -> list[Where]:
    pairs = [part.rpartition("/") for part in assignment.decode().split(",") if part]
    return [(topic, int(index)) for topic, _, index in pairs]
