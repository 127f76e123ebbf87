"""The broker core: owns all state, is told what happens, never blocks on anything but file writes.

The shell feeds it requests (broker.api.dispatch), time (``tick``) and finished syncs
(``synced``), all from one thread. What it must do in return: sync the logs in ``dirty`` and run
``compaction_jobs`` in other threads, write ``take_notices`` to its log, and call ``tick`` again
when that says so.
"""

from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tickertape.base.errors import StorageError
from tickertape.base.ports import Clock, FileSystem, Rng, Workers
from tickertape.broker.state.acl import Acl
from tickertape.broker.state.alarms import Alarms
from tickertape.broker.state.authorizer import Authorizer
from tickertape.broker.state.consumer_groups import ConsumerGroups
from tickertape.broker.state.durability import Durability
from tickertape.broker.state.features import Features
from tickertape.broker.state.group_configs import GroupConfigs
from tickertape.broker.state.groups import Groups
from tickertape.broker.state.offsets import OffsetsLog
from tickertape.broker.state.producer_ids import ProducerIds
from tickertape.broker.state.quotas import Quotas
from tickertape.broker.state.security import Security
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.topic_ids import random_topic_id
from tickertape.broker.state.topics import Topic, TopicRegistry
from tickertape.broker.state.transaction_log import TransactionLog
from tickertape.broker.state.transactions import Transactions
from tickertape.broker.state.upkeep import Upkeep
from tickertape.broker.state.waits import FetchWaits, Partition
from tickertape.log.compaction import CompactionJob
from tickertape.log.data_dir import (
    MetaProperties,
    mark_clean,
    read_meta_properties,
    take_clean_mark,
    write_meta_properties,
)
from tickertape.log.partition import PartitionLog
from tickertape.log.recovery import RecoveryReport

_NOTICES_MAX: Final = 1_000
_IDLE_MS: Final = 60_000  # the longest that tick lets the shell sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReport:
    """What ``start`` found, for the shell to log."""

    clean: bool
    recovered: list[tuple[str, RecoveryReport]] = field(default_factory=list)
    deletions_finished: list[str] = field(default_factory=list)
    folders_ignored: list[str] = field(default_factory=list)
    groups: int = 0


class Broker:
    """See the module."""

    def __init__(
        self,
        *,
        fs: FileSystem,
        clock: Clock,
        rng: Rng,
        workers: Workers,
        settings: BrokerSettings,
        data_dir: str,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.durability = Durability(settings.fsync)
        self.fetch_waits = FetchWaits(settings.fetch_waits_max)
        self.topics = TopicRegistry(fs, clock, workers, data_dir, settings.log)
        self.producer_ids = ProducerIds(fs, data_dir)
        self._rng = rng
        self._workers = workers
        self._fs = fs
        self.data_dir = data_dir
        offsets_log = OffsetsLog(settings, self.topics, self.durability, clock, rng)
        self.group_configs = GroupConfigs(fs, data_dir, settings)
        self.groups = Groups(
            settings, offsets_log, self.durability, clock, rng,
            ConsumerGroups(
                offsets_log, self.durability, clock, self.topics, self.group_configs
            ),
        )  # fmt: skip
        self.features = Features(fs, data_dir)
        self.transactions = Transactions(
            settings,
            self.features,
            TransactionLog(settings, self.topics, self.durability, clock, rng),
            self.groups,
            self.producer_ids,
            clock,
        )
        self.cluster_id = ""
        self.security = Security(fs, data_dir, rng)
        self.authorizer: Authorizer | None = None  # everything is allowed; see api.rights
        self.alarms = Alarms(clock)
        self.quotas = Quotas(self.security, clock)
        self._notices: deque[str] = deque(maxlen=_NOTICES_MAX)
        self.upkeep = Upkeep(settings, self.topics, self.durability, clock, self.notice)
        self._offsets_due_ms = clock.monotonic_ms() + settings.offsets_retention_check_interval_ms

    # -- life --------------------------------------------------------------------------------

    def start(self) -> StartReport:
        """Open all logs, recovering them if the last stop was not clean; load the groups.

        StorageError if the data directory cannot be used as it is.
        """
        self.cluster_id = self._own_data_dir()
        clean = take_clean_mark(self._fs, self.data_dir)
        self.features.load()
        self.security.load()
        if self.settings.authorizer_class_name:
            self.authorizer = Authorizer(
                self.settings.super_users,
                allow_if_no_acl=self.settings.allow_everyone_if_no_acl_found,
            )
            self.security.enforce(self.authorizer)
        self.producer_ids.load()
        loaded = self.topics.load(clean=clean)
        self.group_configs.load()
        groups = self.groups.load()
        for name in sorted(self.groups.topics()):
            if self.topics.get(name) is None:  # deleted, and the crash came before its offsets went
                self.groups.topic_deleted(name)
            else:  # it may be another one of that name
                self.groups.topic_loaded(name, self.topics.id_of(name))
        self.transactions.load()
        return StartReport(
            clean=clean,
            recovered=loaded.recovered,
            deletions_finished=loaded.deletions_finished,
            folders_ignored=loaded.folders_ignored,
            groups=groups,
        )

    def stop(self) -> bool:
        """Close all logs; the shell has synced them. True if the next start need not recover.

        StorageError if the disk refuses; then the next start recovers.
        """
        faults = self._workers.run_all([partial(_close, log) for log in self.topics.logs()])
        for fault in filter(None, faults):
            self.notice(fault)
        if any(faults):
            return False
        mark_clean(self._fs, self.data_dir)
        return True

    def tick(self) -> int:
        """Do everything that is due; returns ms until there is more (at least 1)."""
        now_ms = self.clock.monotonic_ms()
        if now_ms >= self._offsets_due_ms:
            self._offsets_due_ms = now_ms + self.settings.offsets_retention_check_interval_ms
            self.groups.expire_offsets()
        groups_ms = self.groups.tick(now_ms)
        fetches_ms = self.fetch_waits.expire(now_ms)
        due_ms = min(
            groups_ms,
            fetches_ms,
            self.transactions.tick(now_ms),
            self.durability.waits.expire(now_ms),
            self.upkeep.tick(now_ms),
            self.alarms.run(now_ms),
            self._offsets_due_ms,
            now_ms + _IDLE_MS,
        )
        return max(1, due_ms - now_ms)

    def dirty(self) -> list[PartitionLog]:
        """Logs with unsynced appends; each stays in the list until ``synced`` is told of it."""
        return self.durability.dirty()

    def synced(self, logs: Iterable[PartitionLog]) -> None:
        """``finish_sync`` has been called on these: answer those who waited for it."""
        self.durability.synced(logs)

    def compaction_jobs(self) -> list[CompactionJob]:
        """Jobs planned since the last call; run each in a thread, then say ``compacted``."""
        return self.upkeep.take_jobs()

    def compacted(self, job: CompactionJob) -> None:
        """``job.run`` has returned, or raised; the job knows which."""
        self.upkeep.cleaned(job)

    def troubles(self) -> list[str]:
        """Why it cannot take all records, a line a log; empty while all is well."""
        failed = [log.failed for log in self.topics.logs() if log.failed is not None]
        return failed + self.durability.refusals(self.clock.monotonic_ms())

    def storage_refused(self, partition: Partition, reason: str) -> None:
        """The disk refused to take a producer's records."""
        self.durability.refused(partition, reason, self.clock.monotonic_ms())
        self.notice(f"{partition.topic}-{partition.index} takes no more records: {reason}")

    def change_acls(self, added: Iterable[Acl], deleted: Iterable[Acl]) -> None:
        """Durably. StorageError: nothing has changed."""
        self.security.change_acls(added, deleted)
        self.topics.changes += 1  # patterns may match others now

    def notice(self, line: str) -> None:
        """Keep a line for the operator; the oldest go when nobody takes them."""
        self._notices.append(line)

    def take_notices(self) -> list[str]:
        """What an operator should read; one line each. Handing them over empties the list."""
        notices = list(self._notices)
        self._notices.clear()
        return notices

    def _own_data_dir(self) -> str:
        """The cluster id; made up and written down in a new data directory."""
        self._fs.make_dir(self.data_dir)
        meta = read_meta_properties(self._fs, self.data_dir)
        node_id = self.settings.node_id
        if meta is None:
            folder = self.data_dir
            while "/" in folder:  # a new folder is durable once every one above it has been synced
                folder = folder.rpartition("/")[0]
                self._fs.sync_dir(folder or "/")
            token = urlsafe_b64encode(random_topic_id(self._rng).bytes).decode().rstrip("=")
            self.features.begin()
            meta = MetaProperties(cluster_id=token, node_id=node_id)
            write_meta_properties(self._fs, self.data_dir, meta)
        elif meta.node_id != node_id:
            raise StorageError(
                f"{self.data_dir} belongs to node {meta.node_id}; this broker is node {node_id}"
            )
        return meta.cluster_id

    # -- topics ------------------------------------------------------------------------------

    def create_topic(self, name: str, partitions: int, configs: Mapping[str, str]) -> Topic:
        """Make a checked topic durably. StorageError if the disk refuses."""
        return self.topics.create(name, random_topic_id(self._rng), partitions, configs)

    def delete_topic(self, topic: Topic) -> None:
        """Delete durably, with the offsets committed in it. StorageError: it is still there."""
        self.topics.delete(topic)
        for partition in topic.partitions:
            if partition is not None:
                self.durability.forget(partition)
        self.groups.topic_deleted(topic.name)


def _close(log: PartitionLog) -> str | None:
    """Why it could not be closed in order; None if it was."""
    try:
        log.close(clean=True)
    except StorageError as error:
        return f"{log.folder}: not closed in order: {error}"
    return None
