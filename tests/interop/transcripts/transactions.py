"""Transactions of version 1 and 2: every order of calls, right and wrong, and what readers see."""

from typing import Any, Final

from tests.interop.harness import eventually
from tests.interop.raw import Batch
from tests.interop.transcripts.player import Player, Scenario

from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.add_offsets_to_txn import AddOffsetsToTxnRequest
from tickertape.wire.schema.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
)
from tickertape.wire.schema.end_txn import EndTxnRequest
from tickertape.wire.schema.init_producer_id import InitProducerIdRequest
from tickertape.wire.schema.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from tickertape.wire.schema.offset_fetch import OffsetFetchRequest, OffsetFetchRequestTopic
from tickertape.wire.schema.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)

BUSY: Final = (ErrorCode.CONCURRENT_TRANSACTIONS,)
"""Said while the markers of the transaction before are written: how long is a matter of luck."""
UNSTABLE: Final = (ErrorCode.UNSTABLE_OFFSET_COMMIT,)


class Owner:
    """A transactional producer that calls in whatever order it is told."""

    def __init__(self, play: Player, stem: str, *, init: bool = True) -> None:
        self.play, self.name = play, play.transactional(stem)
        self.producer_id, self.epoch, self.sequence = -1, -1, 0
        if init:
            self.init("init")

    def init(
        self, note: str, *, version: int = 4, expected: tuple[int, int] = (-1, -1),
        timeout_ms: int = 60_000, waits: tuple[ErrorCode, ...] = BUSY,
    ) -> None:  # fmt: skip
        request = InitProducerIdRequest(
            transactional_id=self.name,
            transaction_timeout_ms=timeout_ms,
            producer_id=expected[0],
            producer_epoch=expected[1],
        )
        answer = self.play.ask(note, request, version, waits=waits)
        if answer.error_code == 0:
            self.producer_id, self.epoch = answer.producer_id, answer.producer_epoch
            self.sequence = 0

    def add(self, note: str, topic: str, version: int = 3, **other: Any) -> None:  # noqa: ANN401  # what is to be wrong
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=other.get("name", self.name),
            v3_and_below_producer_id=other.get("producer_id", self.producer_id),
            v3_and_below_producer_epoch=other.get("epoch", self.epoch),
            v3_and_below_topics=[
                AddPartitionsToTxnTopic(name=topic, partitions=other.get("partitions", [0]))
            ],
        )
        self.play.ask(note, request, version, waits=other.get("waits", BUSY))

    def offsets(self, note: str, group: str, version: int = 3, **other: Any) -> None:  # noqa: ANN401  # what is to be wrong
        request = AddOffsetsToTxnRequest(
            transactional_id=other.get("name", self.name),
            producer_id=other.get("producer_id", self.producer_id),
            producer_epoch=other.get("epoch", self.epoch),
            group_id=group,
        )
        self.play.ask(note, request, version, waits=BUSY)

    def commit_offsets(
        self, note: str, group: str, topic: str, offset: int, version: int = 3, **other: Any  # noqa: ANN401  # what is to be wrong
    ) -> None:  # fmt: skip
        partition = TxnOffsetCommitRequestPartition(
            partition_index=other.get("partition", 0),
            committed_offset=offset,
            committed_metadata="note",
        )
        request = TxnOffsetCommitRequest(
            transactional_id=other.get("name", self.name),
            group_id=group,
            producer_id=other.get("producer_id", self.producer_id),
            producer_epoch=other.get("epoch", self.epoch),
            generation_id=other.get("generation", -1),
            member_id=other.get("member", ""),
            group_instance_id=other.get("instance"),
            topics=[TxnOffsetCommitRequestTopic(name=topic, partitions=[partition])],
        )
        self.play.ask(note, request, version, waits=BUSY)

    def send(self, note: str, topic: str, version: int = 11, **other: Any) -> None:  # noqa: ANN401  # what is to be wrong
        batch = Batch(
            attributes=other.get("attributes", 0x10),
            producer_id=other.get("producer_id", self.producer_id),
            producer_epoch=other.get("epoch", self.epoch),
            base_sequence=other.get("sequence", self.sequence),
        )
        name = other.get("name", self.name)
        partition = other.get("partition", 0)
        answer = self.play.produce(
            note, topic, batch, version=version, txn=name, partition=partition
        )
        if answer.topics[0][1][0].error == 0 and "sequence" not in other:
            self.sequence += 1

    def end(self, note: str, *, commit: bool, version: int = 3, **other: Any) -> None:  # noqa: ANN401  # what is to be wrong
        request = EndTxnRequest(
            transactional_id=other.get("name", self.name),
            producer_id=other.get("producer_id", self.producer_id),
            producer_epoch=other.get("epoch", self.epoch),
            committed=commit,
        )
        answer = self.play.ask(note, request, version, waits=other.get("waits", BUSY))
        if version >= 5 and answer.error_code == 0:
            if answer.producer_id != self.producer_id or answer.producer_epoch != self.epoch:
                self.sequence = 0
            self.producer_id, self.epoch = answer.producer_id, answer.producer_epoch

    def transaction(self, topic: str, *, commit: bool) -> None:
        self.add("add", topic)
        self.send("send", topic)
        self.end("commit" if commit else "abort", commit=commit)


def settled(play: Player, topic: str, end: int) -> None:
    """Wait, unwritten, until the markers are there: the end as committed is ``end``."""
    other = Player(play.broker, play.run)

    def reached() -> bool:
        partition = ListOffsetsPartition(partition_index=0, timestamp=-1)
        one = ListOffsetsTopic(name=topic, partitions=[partition])
        request = ListOffsetsRequest(replica_id=-1, isolation_level=1, topics=[one])
        answer = other.ask("end", request, 5)
        return bool(answer.topics[0].partitions[0].offset == end)

    try:
        eventually(reached, f"{end} as the end of {topic}")
    finally:
        other.close()


def seen(play: Player, note: str, topic: str, offset: int = 0) -> None:
    """What both kinds of readers get."""
    for version in (4, 11, 12):
        play.fetch(f"{note}, committed", topic, offset, version, isolation_level=1)
    play.fetch(f"{note}, uncommitted", topic, offset, 11, isolation_level=0)
    for isolation in (0, 1):
        partition = ListOffsetsPartition(partition_index=0, timestamp=-1)
        one = ListOffsetsTopic(name=topic, partitions=[partition])
        request = ListOffsetsRequest(replica_id=-1, isolation_level=isolation, topics=[one])
        play.ask(f"{note}, the end", request, 5)


def init_producer_id(play: Player) -> None:
    play.transactional("init")
    for version in range(6):
        for note, name, timeout_ms in (
            ("without a name", None, 60_000),
            ("an empty name", "", 60_000),
            ("a timeout too long", play.name(f"init.v{version}"), 900_001),
            ("no timeout", play.name(f"init.v{version}"), 0),
            ("a timeout below zero", play.name(f"init.v{version}"), -1),
            ("no name, no timeout", None, 0),
        ):
            request = InitProducerIdRequest(
                transactional_id=name, transaction_timeout_ms=timeout_ms
            )
            play.ask(note, request, version)
        owner = Owner(play, f"init.v{version}")
        owner.init("again", version=version)
        owner.init("and again", version=version)
        if version < 3:
            continue
        current = (owner.producer_id, owner.epoch)
        owner.init("by its owner", version=version, expected=current)
        owner.init("its owner's retry", version=version, expected=current)
        old, now = (current[0], current[1] - 1), (owner.producer_id, owner.epoch)
        owner.init("by an old owner", version=version, expected=old)
        owner.init("another producer", version=version, expected=(now[0] + 50_000, 0))
        owner.init("an epoch to come", version=version, expected=(now[0], now[1] + 3))
        owner.init("an epoch without id", version=version, expected=(-1, 2))
        owner.init("an id without epoch", version=version, expected=(now[0], -1))
        unknown = Owner(play, f"unknown.v{version}", init=False)
        unknown.init("a name unheard of", version=version, expected=now)


def wrong_orders(play: Player) -> None:
    topic, other = play.topic("orders"), play.topic("orders-other")
    for version in (0, 1, 3):
        owner = Owner(play, f"orders.v{version}")
        owner.end("commit before begin", commit=True, version=version)
        owner.end("abort before begin", commit=False, version=version)
        for send_version in (3, 11):
            owner.send("send before begin", topic, send_version)
        for note, wrong in (
            ("another producer", {"producer_id": owner.producer_id + 40_000}),
            ("an epoch to come", {"epoch": owner.epoch + 1}),
            ("an old epoch", {"epoch": owner.epoch - 1}),
            ("an unknown name", {"name": play.name("orders-nobody")}),
            ("an empty name", {"name": ""}),
        ):
            owner.add(f"add as {note}", topic, version, **wrong)
            owner.offsets(f"add offsets as {note}", "g", version, **wrong)
            owner.end(f"commit as {note}", commit=True, version=version, **wrong)
        owner.add("add an unknown partition", topic, version, partitions=[0, 7])
        owner.add("add an unknown topic", play.name("absent"), version)
        owner.add("add", topic, version)
        owner.add("add again", topic, version)
        owner.send("send", topic)
        for send_version in (3, 11):
            owner.send("send elsewhere", other, send_version)
            owner.send("send untold", topic, send_version, attributes=0)
            owner.send("send nameless", topic, send_version, name=None)
            owner.send("send as another", topic, send_version, producer_id=owner.producer_id + 9)
            owner.send("send in an epoch to come", topic, send_version, epoch=owner.epoch + 1)
        owner.end("commit", commit=True, version=version)
        owner.end("commit again", commit=True, version=version)
        owner.end("abort after commit", commit=False, version=version)
        owner.send("send after commit", topic)


def misnamed(play: Player) -> None:
    """A producer whose requests carry the name of a transaction that nobody has begun."""
    topic, group, nobody = play.topic("misnamed"), play.group("misnamed"), play.name("nobody")
    owner = Owner(play, "misnamed")
    owner.add("add", topic)
    owner.offsets("add offsets", group)
    owner.send("send", topic)
    owner.send("send misnamed", topic, name=nobody)
    owner.commit_offsets("misnamed", group, topic, 4, name=nobody)
    owner.end("abort", commit=False)


def committed_and_aborted(play: Player) -> None:
    topic = play.topic("seen")
    first, second = Owner(play, "seen-a"), Owner(play, "seen-b")
    seen(play, "nothing", topic)
    first.add("add", topic)
    first.send("open", topic)
    second.add("add", topic)
    second.send("open", topic)
    play.produce("without transaction", topic, Batch())
    seen(play, "two open", topic)
    first.end("abort", commit=False)
    settled(play, topic, 1)
    seen(play, "one aborted", topic)
    second.end("commit", commit=True)
    settled(play, topic, 5)
    seen(play, "both done", topic)
    for n in range(3):
        first.transaction(topic, commit=n == 1)
        settled(play, topic, 7 + 2 * n)
    seen(play, "five done", topic)
    seen(play, "from the middle", topic, 6)
    seen(play, "from the end", topic, 11)


def fencing(play: Player) -> None:
    topic = play.topic("fenced")
    zombie = Owner(play, "fenced")
    zombie.add("add", topic)
    zombie.send("send", topic)
    successor = Owner(play, "fenced", init=False)
    successor.init("the successor")
    settled(play, topic, 2)
    for version in (0, 1, 3):
        zombie.add("the zombie adds", topic, version)
        zombie.offsets("the zombie adds offsets", "g", version)
        zombie.end("the zombie commits", commit=True, version=version)
        zombie.end("the zombie aborts", commit=False, version=version)
    for version in (3, 11):
        zombie.send("the zombie sends", topic, version)
    for version in (3, 4):
        zombie.init(
            "the zombie asks for an epoch", version=version,
            expected=(zombie.producer_id, zombie.epoch),
        )  # fmt: skip
    successor.transaction(topic, commit=True)
    settled(play, topic, 4)
    seen(play, "after it", topic)


def timeouts(play: Player) -> None:
    topic = play.topic("late")
    late = Owner(play, "late", init=False)
    late.init("with a short timeout", timeout_ms=1_500)
    late.add("add", topic)
    late.send("send", topic)
    settled(play, topic, 2)
    late.send("too late", topic)
    late.add("add too late", topic)
    late.end("commit too late", commit=True)
    late.end("abort too late", commit=False)
    late.init("by its owner, too late", expected=(late.producer_id, late.epoch))
    late.init("anew")
    late.transaction(topic, commit=True)
    settled(play, topic, 4)
    seen(play, "after it", topic)


def offsets_in_transactions(play: Player) -> None:
    topic, group = play.topic("offsets"), play.group("offsets")

    def stored(note: str, *, stable: bool) -> None:
        wanted = [OffsetFetchRequestTopic(name=topic, partition_indexes=[0, 1])]
        request = OffsetFetchRequest(group_id=group, topics=wanted, require_stable=stable)
        play.ask(f"{note}{', stable' if stable else ''}", request, 7)

    for version in (0, 2, 3, 4):
        owner = Owner(play, f"offsets.v{version}")
        owner.commit_offsets("before they are added", group, topic, 1, version)
        owner.offsets("add offsets", group)
        owner.commit_offsets("pending", group, topic, 10 + version, version)
        owner.commit_offsets("an unknown topic", group, play.name("absent"), 3, version)
        owner.commit_offsets("an unknown partition", group, topic, 3, version, partition=9)
        owner.commit_offsets("an empty group", "", topic, 3, version)
        for note, wrong in (
            ("another producer", {"producer_id": owner.producer_id + 4_000}),
            ("an old epoch", {"epoch": owner.epoch - 1}),
            ("an epoch to come", {"epoch": owner.epoch + 1}),
        ):
            owner.commit_offsets(f"as {note}", group, topic, 4, version, **wrong)
        if version >= 3:
            owner.commit_offsets("generation 5", group, topic, 4, version, generation=5)
            owner.commit_offsets("an unknown member", group, topic, 4, version, member="who")
            owner.commit_offsets("an unknown instance", group, topic, 4, version, instance="i")
            everything = {"generation": 5, "member": "who"}
            owner.commit_offsets("a gone member", group, topic, 4, version, **everything)
        stored("while pending", stable=False)
        stored("while pending", stable=True)
        owner.end("end", commit=version != 2)
        eventually(lambda: _is_stable(play, group, topic), "stable offsets")
        stored("when done", stable=True)


def _is_stable(play: Player, group: str, topic: str) -> bool:
    other = Player(play.broker, play.run)
    try:
        wanted = [OffsetFetchRequestTopic(name=topic, partition_indexes=[0])]
        request = OffsetFetchRequest(group_id=group, topics=wanted, require_stable=True)
        other.ask("stable", request, 7, waits=UNSTABLE)
    finally:
        other.close()
    return True


def version_two(play: Player) -> None:
    """KIP-890: partitions come with the records, each end is a new epoch."""
    topic, other = play.topic("two"), play.topic("two-other")
    owner = Owner(play, "two", init=False)
    owner.init("init", version=5)
    owner.end("commit nothing", commit=True, version=5)
    owner.end("abort nothing", commit=False, version=5)
    owner.send("send", topic, 12)
    owner.send("send elsewhere", other, 12)
    before = {"producer_id": owner.producer_id, "epoch": owner.epoch}
    owner.end("commit", commit=True, version=5)
    settled(play, topic, 2)
    owner.end("the commit's retry", commit=True, version=5, **before)
    owner.end("an abort in its place", commit=False, version=5, **before)
    owner.send("the old epoch", topic, 12, sequence=1, **before)
    owner.send("not from zero", topic, 12, sequence=4)
    owner.send("send again", topic, 12)
    owner.end("abort", commit=False, version=5)
    settled(play, topic, 4)
    owner.send("untold", topic, 12, attributes=0)
    owner.end("commit in an epoch to come", commit=True, version=5, epoch=owner.epoch + 2)
    owner.end("commit as another", commit=True, version=5, producer_id=owner.producer_id + 7)
    owner.init("init again", version=5)
    seen(play, "after it", topic)


SCENARIOS: Final[dict[str, Scenario]] = {
    "init_producer_id": init_producer_id,
    "wrong_orders": wrong_orders,
    "misnamed": misnamed,
    "committed_and_aborted": committed_and_aborted,
    "fencing": fencing,
    "timeouts": timeouts,
    "offsets_in_transactions": offsets_in_transactions,
    "version_two": version_two,
}
