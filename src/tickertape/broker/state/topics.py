"""All topics: their ids, partitions and configs, durable in the data directory.

Owns ``topics.json`` (replaced atomically; the list of what exists) and the partition folders
``<topic>-<n>``. A topic exists from the moment that ``topics.json`` names it; its folders are
made after that, become durable with the first sync of their log, and are made again at start if a
crash came between. A deletion first marks the topic in ``topics.json``, then renames its folders
to ``<topic>-<n>.<id>-delete``, then forgets it; a crash in between is finished at start. Folders
that no listed topic owns are never touched.

A partition of an internal topic is opened when it is first needed: 50 empty logs cost nobody.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import UUID

from tickertape.base.errors import StorageError
from tickertape.base.ports import Clock, FileSystem, Workers
from tickertape.broker.state import topic_configs
from tickertape.broker.state.traffic import Traffic
from tickertape.broker.state.waits import Partition
from tickertape.log.config import LogConfig
from tickertape.log.partition import PartitionLog
from tickertape.log.recovery import RecoveryReport
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.primitives import ZERO_UUID

FILE_NAME: Final = "topics.json"
OFFSETS_TOPIC: Final = "__consumer_offsets"
TRANSACTIONS_TOPIC: Final = "__transaction_state"
INTERNAL_TOPICS: Final = frozenset({OFFSETS_TOPIC, TRANSACTIONS_TOPIC})
NAME_LENGTH_MAX: Final = 249
_DOOMED_NAME_MAX: Final = 200  # no file name is longer than 255 bytes, and the topic id comes too
_NAME_LETTERS: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
)
_FORMAT_VERSION: Final = 1


def name_fault(name: str) -> str | None:
    """Why ``name`` cannot be a topic (Kafka's Topic.validate), or None."""
    if not name:
        return "the topic name is empty"
    if name in {".", ".."}:
        return f"the topic name cannot be {name!r}"
    if len(name) > NAME_LENGTH_MAX:
        return f"the topic name has {len(name)} characters; want at most {NAME_LENGTH_MAX}"
    if not _NAME_LETTERS.issuperset(name):
        return f"topic name {name!r}: want only ASCII letters, digits, '.', '_' and '-'"
    return None


@dataclass(slots=True, kw_only=True, eq=False)
class Topic:
    """One topic. ``partitions`` holds None where the log has not been opened yet."""

    name: str
    topic_id: UUID
    configs: dict[str, str]
    partitions: list[Partition | None]

    @property
    def is_internal(self) -> bool:
        """Made by the broker for itself; clients may read it and not write it."""
        return self.name in INTERNAL_TOPICS


@dataclass(slots=True)
class LoadReport:
    """What opening the data directory found."""

    recovered: list[tuple[str, RecoveryReport]] = field(default_factory=list)
    deletions_finished: list[str] = field(default_factory=list)
    folders_ignored: list[str] = field(default_factory=list)


class TopicRegistry:
    """See the module."""

    def __init__(
        self, fs: FileSystem, clock: Clock, workers: Workers, data_dir: str, defaults: LogConfig
    ) -> None:
        self._fs = fs
        self._workers = workers
        self._clock = clock
        self._data_dir = data_dir
        self._defaults = defaults
        self._path = f"{data_dir}/{FILE_NAME}"
        self._topics: dict[str, Topic] = {}
        self._by_id: dict[UUID, Topic] = {}
        self.retired = Traffic()  # of topics that have been deleted
        self._deleting: list[Topic] = []  # no longer exist, but their folders keep their names
        self.changes = 0  # grows whenever a topic comes, goes or grows, or who may see it changes
        self._doomed: list[str] = []  # renamed folders whose bytes are still there

    # -- questions ---------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Topic]:
        """All topics in order of creation."""
        return iter(self._topics.values())

    def __len__(self) -> int:
        """How many topics there are."""
        return len(self._topics)

    def get(self, name: str) -> Topic | None:
        """The topic of that name."""
        return self._topics.get(name)

    def id_of(self, name: str) -> UUID:
        """Its topic's id; ZERO_UUID if there is none."""
        topic = self._topics.get(name)
        return topic.topic_id if topic is not None else ZERO_UUID

    def by_id(self, topic_id: UUID) -> Topic | None:
        """The topic of that id."""
        return self._by_id.get(topic_id)

    def names(self) -> list[str]:
        """Of all topics but the broker's own."""
        return [name for name in self._topics if name not in INTERNAL_TOPICS]

    def shape_of(self, name: str) -> tuple[UUID, int] | None:
        """Id and number of partitions; None: no such topic."""
        topic = self._topics.get(name)
        return None if topic is None else (topic.topic_id, len(topic.partitions))

    def name_of(self, key: str | UUID) -> str | None:
        """The name of a topic that a request gives by name or by id; None: no such id."""
        if isinstance(key, str):
            return key
        topic = self._by_id.get(key)
        return topic.name if topic is not None else None

    def has(self, name: str, index: int) -> bool:
        """Whether there is such a partition."""
        topic = self._topics.get(name)
        return topic is not None and 0 <= index < len(topic.partitions)

    def partition(self, name: str, index: int) -> Partition | None:
        """The partition, opened if need be; None if there is none. StorageError if it cannot be."""
        topic = self._topics.get(name)
        if topic is None or not 0 <= index < len(topic.partitions):
            return None
        return topic.partitions[index] or self._open_late(topic, index)

    def logs(self) -> Iterator[PartitionLog]:
        """Every open log."""
        return (partition.log for partition in self.opened())

    def opened(self) -> Iterator[Partition]:
        """Every partition whose log is open."""
        for topic in self._topics.values():
            for partition in topic.partitions:
                if partition is not None:
                    yield partition

    def collides_with(self, name: str) -> str | None:
        """A topic that differs only by '.' and '_', which metric names cannot tell apart."""
        folded = name.replace(".", "_")
        for other in self._topics:
            if other != name and other.replace(".", "_") == folded:
                return other
        return None

    # -- start ----------------------------------------------------------------------

    def load(self, *, clean: bool) -> LoadReport:
        """Open every topic; ``clean``: the last stop was orderly. StorageError if files are bad."""
        report = LoadReport()
        for stored in self._read_file():
            self._remember(stored)
        report.deletions_finished = [topic.name for topic in self._deleting]
        self._finish_deletions()
        folders = set(self._fs.list(self._data_dir))
        places = [
            (topic, index)
            for topic in self._topics.values()
            for index in range(len(topic.partitions))
            if not topic.is_internal or f"{topic.name}-{index}" in folders
        ]
        jobs = [partial(self._open, topic, index, clean=clean) for topic, index in places]
        for (topic, index), found in zip(places, self._workers.run_all(jobs), strict=True):
            name = f"{topic.name}-{index}"
            report.recovered.append((name, found))
            folders.discard(name)
        self._doomed += [f"{self._data_dir}/{name}" for name in folders if name.endswith("-delete")]
        report.folders_ignored = sorted(name for name in folders if _looks_like_partition(name))
        return report

    # -- changes -----------------------------------------------------------------------------

    def create(
        self, name: str, topic_id: UUID, partitions: int, configs: Mapping[str, str]
    ) -> Topic:
        """Make a checked topic durably. StorageError if the disk fails."""
        assert name_fault(name) is None
        assert name not in self._topics
        assert partitions > 0
        topic = Topic(
            name=name,
            topic_id=topic_id,
            configs=dict(configs),
            partitions=[None] * partitions,
        )
        self._finish_deletions()  # the name may be that of a topic whose folders are still there
        self._know(topic)
        try:
            self._write_file()
        except StorageError:
            self._forget(topic)
            raise
        if not topic.is_internal:
            try:
                for index in range(partitions):
                    self._open(topic, index, clean=True)
            except StorageError:
                topic.partitions[:] = [None] * partitions  # the disk may lack their descriptors
                self.delete(topic)
                raise
        return topic

    def delete(self, topic: Topic) -> None:
        """Delete durably; those who wait on it are sent away. StorageError: it is still there."""
        self._forget(topic)
        self._deleting.append(topic)
        try:
            self._write_file()
        except StorageError:
            self._deleting.remove(topic)
            self._know(topic)
            raise
        reason = f"topic {topic.name} is deleted"
        for partition in topic.partitions:
            if partition is not None:
                self.retired.add(partition)
                partition.settle_all(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, reason)
                partition.wake()
                partition.log.abandon()
        with suppress(StorageError):  # it is deleted all the same, and sweep tries again
            self._finish_deletions()

    def configure(self, topic: Topic, configs: Mapping[str, str]) -> None:
        """Replace the topic's configs durably; its logs obey at once. StorageError: unchanged."""
        before, topic.configs = topic.configs, dict(configs)
        try:
            self._write_file()
        except StorageError:
            topic.configs = before
            raise
        in_force = topic_configs.apply(self._defaults, topic.configs)
        for partition in topic.partitions:
            if partition is not None:
                partition.log.configure(in_force)

    def grow(self, topic: Topic, partitions: int) -> None:
        """Let it have ``partitions``, more than now, durably. StorageError: unchanged."""
        before = len(topic.partitions)
        assert partitions > before
        topic.partitions += [None] * (partitions - before)
        self.changes += 1
        try:
            self._write_file()
        except StorageError:
            del topic.partitions[before:]
            self.changes += 1
            raise
        with suppress(StorageError):  # they exist all the same, and are opened at first use
            for index in range(before, partitions):
                self._open(topic, index, clean=True)

    def sweep(self) -> None:
        """Give back the space of deleted topics. StorageError: tried again at the next sweep."""
        self._finish_deletions()
        while self._doomed:
            self._fs.remove(self._doomed[-1])
            self._doomed.pop()

    # -- inside ------------------------------------------------------------------------------

    def _remember(self, stored: dict[str, Any]) -> None:
        try:
            topic = Topic(
                name=str(stored["name"]),
                topic_id=UUID(stored["id"]),
                configs=dict(stored["configs"]),
                partitions=[None] * int(stored["partitions"]),
            )
            deleting = bool(stored.get("deleting", False))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise StorageError(f"{self._path}: {stored!r} is not a topic: {error!r}") from error
        if deleting:
            self._deleting.append(topic)
        else:
            self._know(topic)

    def _know(self, topic: Topic) -> None:
        self._topics[topic.name] = topic
        self._by_id[topic.topic_id] = topic
        self.changes += 1

    def _forget(self, topic: Topic) -> None:
        del self._topics[topic.name]
        del self._by_id[topic.topic_id]
        self.changes += 1

    def _finish_deletions(self) -> None:
        if not self._deleting:
            return
        for topic in list(self._deleting):
            self._retire_folders(topic)
            self._deleting.remove(topic)
        self._write_file()

    def _open(self, topic: Topic, index: int, *, clean: bool) -> RecoveryReport:
        """Touches this partition only: at the start many are opened at the same time."""
        log, report = PartitionLog.open(
            self._fs,
            f"{self._data_dir}/{topic.name}-{index}",
            topic_configs.apply(self._defaults, topic.configs),
            now_ms=self._clock.now_ms(),
            topic_id=topic.topic_id,
            clean=clean,
        )
        topic.partitions[index] = Partition(topic.name, index, log)
        return report

    def _open_late(self, topic: Topic, index: int) -> Partition:
        self._open(topic, index, clean=True)
        partition = topic.partitions[index]
        assert partition is not None
        return partition

    def _retire_folders(self, topic: Topic) -> None:
        present = set(self._fs.list(self._data_dir))
        for index in range(len(topic.partitions)):
            name = f"{topic.name}-{index}"
            if name in present:
                shown = topic.name[:_DOOMED_NAME_MAX]
                doomed = f"{self._data_dir}/{shown}-{index}.{topic.topic_id.hex}-delete"
                self._fs.rename(f"{self._data_dir}/{name}", doomed)
                self._doomed.append(doomed)
        self._fs.sync_dir(self._data_dir)

    def _read_file(self) -> list[dict[str, Any]]:
        content = self._fs.read(self._path)
        if content is None:
            return []
        try:
            stored = json.loads(content)
            version, topics = stored["version"], stored["topics"]
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self._path} is damaged: {error!r}") from error
        if version != _FORMAT_VERSION or not isinstance(topics, list):
            raise StorageError(
                f"{self._path}: got format version {version!r}; want {_FORMAT_VERSION}"
            )
        return topics

    def _write_file(self) -> None:
        topics = [_stored(topic) for topic in self._topics.values()]
        topics += [{**_stored(topic), "deleting": True} for topic in self._deleting]
        content = json.dumps({"version": _FORMAT_VERSION, "topics": topics}, indent=1)
        self._fs.write_atomic(self._path, content.encode())


def _stored(topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "id": str(topic.topic_id),
        "partitions": len(topic.partitions),
        "configs": topic.configs,
    }


def _looks_like_partition(name: str) -> bool:
    topic, dash, index = name.rpartition("-")
    return bool(dash) and index.isdigit() and name_fault(topic) is None
