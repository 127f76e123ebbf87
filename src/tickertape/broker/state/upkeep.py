"""What a broker does to its logs when nobody asks.

Rolling, retention, freeing the space of deleted topics, compaction. Cleaning is slow, so it is
only planned here: the shell takes the jobs, runs each in a thread, and hands it back. Everything
that an operator should know goes out as a notice.
"""

from collections.abc import Callable

from tickertape.base.errors import StorageError
from tickertape.base.ports import Clock
from tickertape.broker.state.durability import Durability
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.topics import TopicRegistry
from tickertape.broker.state.waits import Partition
from tickertape.log.compaction import CompactionJob


class Upkeep:
    """See the module."""

    def __init__(
        self,
        settings: BrokerSettings,
        topics: TopicRegistry,
        durability: Durability,
        clock: Clock,
        notice: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._durability = durability
        self._clock = clock
        self._notice = notice
        now_ms = clock.monotonic_ms()
        self._retention_due_ms = now_ms + settings.log_retention_check_interval_ms
        self._cleaning_due_ms = now_ms + settings.log_cleaner_backoff_ms
        self._waiting: list[CompactionJob] = []  # planned, not yet taken by the shell
        self._cleaning: dict[CompactionJob, Partition] = {}  # planned, not yet handed back
        self.compactions = 0  # since the start, those that failed included
        self.compactions_failed = 0

    def tick(self, now_ms: int) -> int:
        """Do what is due (monotonic ms); returns the next deadline."""
        if now_ms >= self._retention_due_ms:
            self._retention_due_ms = now_ms + self._settings.log_retention_check_interval_ms
            self._apply_retention()
        if now_ms >= self._cleaning_due_ms:
            self._cleaning_due_ms = now_ms + self._settings.log_cleaner_backoff_ms
            self._plan_cleaning()
        return min(self._retention_due_ms, self._cleaning_due_ms)

    def take_jobs(self) -> list[CompactionJob]:
        """The jobs to run; each comes back in ``cleaned``."""
        jobs, self._waiting = self._waiting, []
        return jobs

    def cleaned(self, job: CompactionJob) -> None:
        """``job.run`` has returned."""
        partition = self._cleaning.pop(job)
        self.compactions += 1
        failure = partition.log.finish_compaction(job)
        if failure is not None:
            self.compactions_failed += 1
            self._notice(f"{partition.topic}-{partition.index}: not compacted: {failure}")
            partition.settle()
        self._durability.maintained(partition)

    @property
    def compacting(self) -> int:
        """How many logs wait for their compaction, or are being compacted."""
        return len(self._cleaning)

    def _plan_cleaning(self) -> None:
        for partition in self._topics.opened():
            if not partition.log.config.compacts or not self._settings.log_cleaner_enable:
                continue
            try:
                job = partition.log.plan_compaction(self._clock.now_ms())
            except StorageError as error:
                self._notice(f"{partition.topic}-{partition.index}: not compacted: {error}")
                continue
            if job is not None:
                self._waiting.append(job)
                self._cleaning[job] = partition

    def _apply_retention(self) -> None:
        for partition in self._topics.opened():
            now_ms = self._clock.now_ms()
            partition.log.roll_if_due(now_ms)
            for line in partition.log.apply_retention(now_ms):
                self._notice(f"{partition.topic}-{partition.index}: retention: {line}")
            self._durability.maintained(partition)
        try:
            self._topics.sweep()
        except StorageError as error:
            self._notice(f"deleted topics still take space: {error}")
