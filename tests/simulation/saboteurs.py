"""Brokers with a bug each, which the simulation must find: else it proves nothing.

Each overrides one thing that the broker does right, from outside, in as few words as possible.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from tickertape.broker.state.broker import Broker, StartReport
from tickertape.wire.error_codes import ErrorCode


def plant(target: object, name: str, wrong: Callable[..., Any]) -> None:
    """From now on ``target`` does that wrong; ``wrong`` gets the right one first."""
    setattr(target, name, partial(wrong, getattr(target, name)))


class AcksBeforeSync(Broker):
    """Answers when records are written, not when they are on disk."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401  # a Broker's own
        super().__init__(**parts)
        self.durability._counts_when_written = True


class ForgetsProducers(Broker):
    """A restart loses the last batches of every producer: a retry is written again."""

    def start(self) -> StartReport:
        report = super().start()
        for log in self.topics.logs():
            for producer in log.producers.by_id.values():
                producer.batches.clear()
        return report


class KeepsLeaderEpoch(Broker):
    """An unclean start does not begin a new leader epoch."""

    def start(self) -> StartReport:
        report = super().start()
        for log in self.topics.logs():
            log._epoch = 0
        return report


class ReusesProducerIds(Broker):
    """A restart hands out ids of the block before."""

    def start(self) -> StartReport:
        report = super().start()
        self.producer_ids._next = max(0, self.producer_ids._next - 1_000)
        return report


class DropsAbortIndex(Broker):
    """Readers are not told which transactions were aborted."""

    def tick(self) -> int:
        for log in self.topics.logs():
            log.producers.transactions.aborted.clear()
        return super().tick()


class KeepsOffsetsOnAbort(Broker):
    """Offsets of an aborted transaction count."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401  # a Broker's own
        super().__init__(**parts)
        plant(self.groups, "end_transaction", _as_if_committed)


def _as_if_committed(
    right: Callable[..., None], producer_id: int, index: int, *, committed: bool
) -> None:
    del committed
    right(producer_id, index, committed=True)


class LetsZombiesWrite(Broker):
    """Transactional batches are not checked."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401  # a Broker's own
        super().__init__(**parts)
        plant(self.transactions, "may_write", lambda *_: ErrorCode.NONE)


class NeverTimesOut(Broker):
    """Open transactions stay open, and hold readers back."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401  # a Broker's own
        super().__init__(**parts)
        plant(self.transactions, "_time_out", lambda *_: None)


class DealsPartitionsTwice(Broker):
    """Every member is told what the leader has."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401  # a Broker's own
        super().__init__(**parts)
        plant(self.groups, "sync", _with_one_share)


def _with_one_share(right: Callable[..., None], group_id: str, ask: Any) -> None:  # noqa: ANN401  # a SyncAsk
    for member_id in ask.assignments:
        ask.assignments[member_id] = b"plain/0"
    right(group_id, ask)


class TakesBeforeItIsGiven(Broker):
    """Believes that a member has given up what it was not even told to give up."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401  # a Broker's own
        super().__init__(**parts)
        plant(self.groups, "consumer_heartbeat", _as_if_given_up)


def _as_if_given_up(right: Callable[..., None], group_id: str, ask: Any, done: Any) -> None:  # noqa: ANN401  # a HeartbeatAsk
    right(group_id, replace(ask, owned=frozenset()), done)


class LetsStaleMembersCommit(Broker):
    """A commit of offsets is stored whoever asks."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401  # a Broker's own
        super().__init__(**parts)
        plant(self.groups, "may_commit", lambda *_: ErrorCode.NONE)


class UndeletesRecords(Broker):
    """DeleteRecords is answered and forgotten by the next start."""

    def start(self) -> StartReport:
        for folder in self._fs.list(self.data_dir):
            path = f"{self.data_dir}/{folder}/log-start-offset-checkpoint"
            if self._fs.read(path) is not None:
                self._fs.remove(path)
        return super().start()


class ConfusesTopicIds(Broker):
    """The id of a topic that is gone means the one that has its name now."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401  # a Broker's own
        super().__init__(**parts)
        plant(self.topics, "name_of", _by_last_name)


def _by_last_name(right: Callable[..., str | None], key: Any) -> str | None:  # noqa: ANN401  # a name or an id
    name = right(key)
    if name is None:
        return "comes-and-goes"
    return name


class BelievesFailedSyncs(Broker):
    """A sync that failed counts as done."""

    def dirty(self) -> list[Any]:
        logs = super().dirty()
        for log in logs:
            if getattr(log.finish_sync, "func", None) is not _as_if_synced:
                plant(log, "finish_sync", _as_if_synced)
        return list(logs)


def _as_if_synced(right: Callable[..., None], ticket: Any, **verdict: Any) -> None:  # noqa: ANN401  # finish_sync's
    del verdict
    right(ticket, ok=True)
