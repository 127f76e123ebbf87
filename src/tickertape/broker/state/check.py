"""Is a data directory whole? Every partition, the list of topics, groups and transactions.

Reads only. The broker must not run: what it is about to write would look like damage.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from tickertape.broker.state.offset_records import OffsetChange, read_changes
from tickertape.broker.state.topics import (
    FILE_NAME,
    INTERNAL_TOPICS,
    OFFSETS_TOPIC,
    TRANSACTIONS_TOPIC,
    name_fault,
)
from tickertape.broker.state.transaction import State, Transaction
from tickertape.broker.state.transaction_records import read_transactions
from tickertape.log import names
from tickertape.log.check import Contents, Expected, Found, PartitionCheck, Problem, Reading
from tickertape.log.data_dir import CLEAN_SHUTDOWN, META_PROPERTIES
from tickertape.log.dump import Batch, batches, records
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import Record

_DECIDED: Final = frozenset({State.EMPTY, State.COMPLETE_COMMIT, State.COMPLETE_ABORT, State.DEAD})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTopic:
    """A topic as ``topics.json`` has it."""

    name: str
    topic_id: UUID
    partitions: int
    compacts: bool
    deleting: bool


class DataDirCheck:
    """Checks one directory; ``run`` once, then ``partitions`` tells what is in it."""

    def __init__(self, fs: Reading, data_dir: str) -> None:
        """``fs`` may be any reader."""
        self.partitions: dict[tuple[str, int], Contents] = {}
        self._fs = fs
        self._data_dir = data_dir
        self._closed = False
        self._offsets: dict[tuple[str, str, int], int] = {}  # group, topic, partition
        self._transactions: dict[str, Transaction] = {}

    def run(self) -> Found:
        """Everything that is wrong."""
        listed = self._fs.list(self._data_dir)
        self._closed = CLEAN_SHUTDOWN in listed
        if META_PROPERTIES not in listed:
            text = "missing: whose directory is this?"
            yield Problem("metadata", self._path(META_PROPERTIES), text)
        topics, problems = self._topics()
        yield from problems
        yield from self._folders(topics, listed)
        for topic in topics:
            if not topic.deleting:
                yield from self._topic(topic, frozenset(listed))
        yield from self._group_offsets({topic.name for topic in topics})
        yield from self._open_transactions()

    def _path(self, name: str) -> str:
        return f"{self._data_dir}/{name}"

    # -- topics ------------------------------------------------------------------------------

    def _topics(self) -> tuple[list[ListedTopic], list[Problem]]:
        path = self._path(FILE_NAME)
        stored = self._fs.read(path)
        if stored is None:
            return [], [Problem("topics", path, "missing: no topic is known")]
        topics: list[ListedTopic] = []
        problems: list[Problem] = []
        try:
            topics.extend(_listed(one) for one in json.loads(bytes(stored))["topics"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(Problem("topics", path, f"damaged: {error!r}"))
        seen: dict[UUID, str] = {}
        for topic in topics:
            other = seen.setdefault(topic.topic_id, topic.name)
            if other != topic.name:
                text = f"{topic.name} and {other} have the same id {topic.topic_id}"
                problems.append(Problem("topic-id", path, text))
        return topics, problems

    def _folders(self, topics: list[ListedTopic], listed: list[str]) -> Found:
        owned = {f"{t.name}-{n}" for t in topics for n in range(t.partitions)}
        for name in listed:
            topic, dash, index = name.rpartition("-")
            if name.endswith("-delete"):
                text = "of a deleted topic: the broker removes it"
                yield Problem("leftover", self._path(name), text, is_remark=True)
            elif dash and index.isdigit() and name_fault(topic) is None and name not in owned:
                yield Problem("orphan", self._path(name), f"{FILE_NAME} names no such partition")

    def _topic(self, topic: ListedTopic, listed: frozenset[str]) -> Found:
        for index in range(topic.partitions):
            name = f"{topic.name}-{index}"
            folder = self._path(name)
            if name not in listed:
                if topic.name not in INTERNAL_TOPICS:  # those are made when first needed
                    text = f"{FILE_NAME} names it, there is no folder"
                    yield Problem("missing", folder, text, is_remark=not self._closed)
                continue
            inside = self._fs.list(folder)
            compacts = topic.compacts or names.CLEANED_OFFSETS in inside
            expected = Expected(topic_id=topic.topic_id, compacts=compacts, closed=self._closed)
            check = PartitionCheck(self._fs, folder, expected)
            yield from check.run()
            self.partitions[topic.name, index] = check.contents
            if topic.name in INTERNAL_TOPICS:
                yield from self._state(topic.name, folder, inside)

    # -- groups and transactions -------------------------------------------------------------

    def _state(self, topic: str, folder: str, inside: list[str]) -> Found:
        for base in names.offsets_of(inside, names.LOG):
            path = f"{folder}/{names.offset_name(base, names.LOG)}"
            content = self._fs.read(path) or b""
            for one in batches(content):
                if not isinstance(one, Batch) or not one.is_valid or one.header.is_control:
                    continue  # the partition's own check has said so
                try:
                    self._replay(topic, list(records(content, one)))
                except DecodeError as error:
                    kind = "group-state" if topic == OFFSETS_TOPIC else "transaction-state"
                    yield Problem(kind, path, f"offset {one.header.base_offset}: {error}")

    def _replay(self, topic: str, stored: list[Record]) -> None:
        if topic == TRANSACTIONS_TOPIC:
            for name, transaction in read_transactions(stored):
                if transaction is None:
                    self._transactions.pop(name, None)
                else:
                    self._transactions[name] = transaction
            return
        for change in read_changes(stored):
            if isinstance(change, OffsetChange):
                where = (change.group_id, change.topic, change.partition)
                if change.committed is None:
                    self._offsets.pop(where, None)
                else:
                    self._offsets[where] = change.committed.offset

    def _group_offsets(self, topics: set[str]) -> Found:
        for (group, topic, partition), offset in self._offsets.items():
            contents = self.partitions.get((topic, partition))
            where = f"{topic}-{partition}"
            if contents is None:
                state = "is not there" if topic in topics else "is of no topic"
                text = f"group {group!r} has committed offset {offset}, the partition {state}"
                yield Problem("group-offset", where, text, is_remark=True)
            elif offset > contents.end:
                text = f"group {group!r} has committed offset {offset}, the log ends at"
                yield Problem("group-offset", where, f"{text} {contents.end}")

    def _open_transactions(self) -> Found:
        """In the log, and undecided for the coordinator: else nothing will ever end it."""
        undecided = {
            (transaction.producer_id, *where)
            for transaction in self._transactions.values()
            if transaction.state not in _DECIDED
            for where in transaction.partitions
        }
        for (topic, index), contents in self.partitions.items():
            for producer_id, offset in contents.transactions.open.items():
                if (producer_id, topic, index) not in undecided and topic != OFFSETS_TOPIC:
                    text = (
                        f"the transaction of producer {producer_id} is open from offset {offset} "
                        "on, and its coordinator does not know of it"
                    )
                    yield Problem("hanging-transaction", f"{topic}-{index}", text)


def _listed(stored: dict[str, Any]) -> ListedTopic:
    return ListedTopic(
        name=str(stored["name"]),
        topic_id=UUID(stored["id"]),
        partitions=int(stored["partitions"]),
        compacts="compact" in stored["configs"].get("cleanup.policy", ""),
        deleting=bool(stored.get("deleting", False)),
    )


def totals(found: Iterator[Contents]) -> Contents:
    """All partitions together."""
    total = Contents()
    for one in found:
        total.batches += one.batches
        total.records += one.records
        total.bytes += one.bytes
    return total
