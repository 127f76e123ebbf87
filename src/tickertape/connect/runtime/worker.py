"""The worker: runs the tasks of its connectors, a thread each, until stopped, finished or failed.

One failed task stops the worker, gracefully for the others: there is no REST interface to restart
it by, and a supervisor sees an exit code sooner than a log line.
"""

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event

from tickertape.base.errors import MisuseError
from tickertape.base.ports import Clock
from tickertape.connect.runtime.consumer_config import consumer_config, subscription
from tickertape.connect.runtime.events import Limits, Listener
from tickertape.connect.runtime.kafka_source import KafkaSource
from tickertape.connect.runtime.task import SinkTask
from tickertape.connect.s3.assemble import Flush
from tickertape.connect.s3.commit import GroupError
from tickertape.connect.s3.settings import SinkSettings
from tickertape.objects.store import ObjectStore, ObjectStoreError

_ASK_MS = 10_000


@dataclass(frozen=True, slots=True)
class Connector:
    """What one connector's file says, and the opened store that it means."""

    settings: SinkSettings
    store: ObjectStore


def wait_for_store(
    connector: Connector, stop: Event, *, clock: Clock, listener: Listener, limits: Limits
) -> None:
    """Check a connector's store; one that does not answer is asked as patiently as at a flush.

    Returns when the store is good, or ``stop`` is set. Raises ObjectStoreError for what a person
    must mend, or after ``limits.retry_ms_max`` without an answer.
    """
    began_ms, backoff_ms = clock.monotonic_ms(), connector.settings.retry_backoff_ms
    attempt = 0
    while not stop.is_set():
        attempt += 1
        try:
            for warning in connector.store.check():
                listener.noted(f"WARNING: {warning}")
        except ObjectStoreError as error:
            if stop.is_set():
                return
            waited_ms = clock.monotonic_ms() - began_ms
            if not error.retriable:
                raise
            if waited_ms >= limits.retry_ms_max:
                error.add_note(f"given up after {waited_ms} ms; nothing was skipped")
                raise
            listener.noted(
                f"the store does not answer, again in {backoff_ms} ms (attempt {attempt}): {error}"
            )
            stop.wait(backoff_ms / 1_000)
        else:
            return


class Worker:
    """Everything that one ``tape worker start`` runs."""

    def __init__(
        self,
        connectors: Sequence[Connector],
        *,
        clock: Clock,
        listener: Listener,
        limits: Limits | None = None,
    ) -> None:
        assert connectors
        self._connectors = connectors
        self._clock = clock
        self._listener = listener
        self._limits = limits or Limits()

    def run(self, stop: Event, *, once: bool = False) -> None:
        """Work until ``stop`` is set, or with ``once`` until all that is there now is stored.

        Raises the first failure of a task, when all tasks have ended: RecordError, StorageError,
        GroupError or MisuseError.
        """
        tasks = [
            (connector, number)
            for connector in self._connectors
            for number in range(connector.settings.tasks_max)
        ]
        many = len(tasks) > 1
        with ThreadPoolExecutor(len(tasks), "task") as threads:
            running = [
                threads.submit(self._run_task, connector, number, stop, once=once, named=many)
                for connector, number in tasks
            ]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            except BaseException:
                stop.set()
                raise
            if _failure(running) is not None:
                stop.set()
        failure = _failure(running)
        if failure is not None:
            raise failure

    def _run_task(
        self, connector: Connector, number: int, stop: Event, *, once: bool, named: bool
    ) -> None:
        settings = connector.settings
        name = f"{settings.name}-{number}"
        listener = _Prefixed(self._listener, f"{name}: ") if named else self._listener
        config = consumer_config(settings, number)
        for warning in config.warnings if number == 0 else ():
            listener.noted(warning)
        source = KafkaSource(
            config.librdkafka,
            subscription(settings),
            with_timestamps=settings.needs_timestamps,
            note=listener.noted,
        )
        if number == 0:
            _look_for_topics(source, listener, once=once)
        task = SinkTask(
            settings,
            source,
            connector.store,
            clock=self._clock,
            listener=listener,
            limits=self._limits,
        )
        task.run(stop, once=once)


def _look_for_topics(source: KafkaSource, listener: Listener, *, once: bool) -> None:
    try:
        missing = source.topics_missing(_ASK_MS)
    except GroupError as error:
        if once or not error.retriable:
            raise
        listener.noted(f"{error}: waiting for the brokers")
        return
    if missing and once:
        raise MisuseError(f"topic {', '.join(missing)} does not exist: nothing to back up")
    if missing:
        listener.noted(f"topic {', '.join(missing)} does not exist yet: waiting for it")


def _failure(running: Sequence["Future[None]"]) -> BaseException | None:
    for task in running:
        if task.done() and (error := task.exception()) is not None:
            return error
    return None


class _Prefixed:
    """Says which of several tasks speaks."""

    def __init__(self, listener: Listener, prefix: str) -> None:
        self._listener = listener
        self._prefix = prefix

    def flushed(self, flush: Flush) -> None:
        self._listener.flushed(flush)

    def noted(self, text: str) -> None:
        self._listener.noted(self._prefix + text)
