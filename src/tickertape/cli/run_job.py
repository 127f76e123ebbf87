"""One run of the main job: broker, topic, pump beside worker, verification; children restarted."""

import select
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Final, TypeVar
from urllib.parse import urlsplit

import orjson
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tickertape.base.errors import MisuseError, TapeError
from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.base.ports import Clock
from tickertape.base.world import SystemRng
from tickertape.broker.server.data_lock import running
from tickertape.cli.children import Child, ChildError, Keeper, Kept
from tickertape.cli.run_files import RunFolder
from tickertape.cli.run_report import Console, Outcome
from tickertape.connect.feed.ledger import Tally
from tickertape.connect.feed.pump import Destination, Progress, Pump
from tickertape.connect.feed.received import receive
from tickertape.connect.feed.resume import (
    RefusedError,
    Standing,
    check_rows,
    look_up,
    source_id,
)
from tickertape.connect.feed.rows import BadRow, Row, RowOptions, RowReader, uncompressed
from tickertape.connect.s3.names import manifest_prefix
from tickertape.connect.s3.verify import Report, verify
from tickertape.connect.s3.witness import TopicWitness
from tickertape.connect.topic_reader import TopicError, TopicReader
from tickertape.objects.open import open_store
from tickertape.objects.store import ObjectStore, ObjectStoreError

_LOOK_S: Final = 0.1
_LOOK_MS: Final = 100
_LOOK_ROWS: Final = 4096
_DRAIN_MS: Final = 5_000
_REACH_S: Final = 10.0  # for the first answer of a cluster
_ANSWER_S: Final = 30.0
_AWAY: Final = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}  # noqa: SLF001  # public names
"""The broker may just have died: it is being started again."""
_TOPICS_DIR: Final = "topics"
_BAD_ROWS_SHOWN: Final = 5
_LAKE_MS: Final = 60_000
_LAKE_PAUSE_S: Final = 2.0
_RESUME: Final = "run the same command again to resume"
Answer = TypeVar("Answer")


class InterruptedJobError(TapeError):
    """The user asked the job to end."""


class BadRowsError(TapeError):
    """More bad rows than the user allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What to do. ``speed`` None is as fast as it goes; ``bootstrap`` None embeds a broker."""

    ticks: Path
    topic: str
    lake: str
    bootstrap: str | None
    count: int | None
    speed: float | None
    partitions: int
    rows: RowOptions
    append: bool
    bad_rows_max: int | None


@dataclass(slots=True)
class _BadRows:
    """Counts bad rows, shows the first, keeps all in the dead-letter file."""

    path: Path
    say: Callable[[str], None]
    most: int | None
    count: int = 0
    _file: IO[bytes] | None = field(default=None, repr=False)

    def add(self, row: BadRow) -> None:
        if self._file is None:
            self._file = self.path.open("wb")
        self._file.write(row.to_json())
        self.count += 1
        if self.count <= _BAD_ROWS_SHOWN:
            self.say(f"bad row, {row.quoted()}")
        elif self.count == _BAD_ROWS_SHOWN + 1:
            self.say(f"more bad rows: see {self.path}")
        if self.most is not None and self.count > self.most:
            raise BadRowsError(f"more than {self.most} bad rows (--max-bad-rows): see {self.path}")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Job:
    """Used once. ``end_children`` must be called in any case."""

    def __init__(
        self,
        options: JobOptions,
        folder: RunFolder,
        *,
        clock: Clock,
        console: Console,
        stop: threading.Event,
    ) -> None:
        self._options = options
        self._folder = folder
        self._clock = clock
        self._console = console
        self._stop = stop
        self._tally = Tally()
        self._keeper = Keeper()
        self._broker: Kept | None = None
        self._port = 0
        self._looked_ms = 0
        self._file: IO[bytes] | None = None
        self._file_size = 1
        self._connector = f"s3-sink-{options.topic}"
        whole = urlsplit(options.lake).scheme
        self._lake = options.lake if whole else Path(options.lake).absolute().as_uri()

    @property
    def acked(self) -> int:
        """Rows that are in the topic for certain."""
        return self._tally.acked_count

    def run(self) -> Outcome:
        """Everything, in order. InterruptedJobError when asked to stop, TapeError when stuck."""
        began_ms = self._clock.monotonic_ms()
        letters = self._folder.dead_letters(self._options.ticks)
        bad = _BadRows(letters, self._console.say, self._options.bad_rows_max)
        bad.path.unlink(missing_ok=True)
        with ExitStack() as files:
            files.callback(bad.close)
            ticks = self._options.ticks
            file = self._file = files.enter_context(ticks.open("rb"))
            self._file_size = max(ticks.stat().st_size, 1)
            rows = RowReader(uncompressed(file), ticks.name, self._options.rows, bad.add)
            self._console.say(f"ticks: {ticks}, key {rows.key_meaning}, time {rows.time_meaning}")
            self._check_lake()
            source = self._source(rows, bad)
            bootstrap = self._options.bootstrap or self._start_broker()
            destination = self._persist(lambda: self._destination(bootstrap))
            self._persist(lambda: self._check_backup(bootstrap))
            there = self._rows_there(destination, source)
            worker = self._start_worker(bootstrap)
            progress = self._feed(rows, destination, source, there)
        worker.stop()
        self._store_the_rest()
        report, unreadable = self._persist(lambda: self._prove(bootstrap))
        return Outcome(
            ledger=self._tally.ledger(),
            report=report,
            unreadable=unreadable,
            refusals=tuple(progress.refusals),
            resumed=progress.resumed,
            bad_rows=bad.count,
            dead_letters=bad.path if bad.count else None,
            seconds=(self._clock.monotonic_ms() - began_ms) / 1000,
        )

    def end_children(self) -> None:
        """The worker first, so that what it began ends well. Safe to repeat."""
        self._keeper.close()

    def _store(self) -> ObjectStore:
        return open_store(self._lake, rng=SystemRng(), sleep=self._stop.wait)

    def _check_lake(self) -> None:
        """Before anything is started: a bucket that is not there will not come by waiting."""
        warnings = reach_store(self._store(), self._clock, self._console.status, self._pause)
        for warning in warnings:
            self._console.say(f"WARNING: {warning}")

    def _start_broker(self) -> str:
        left = running(str(self._folder.broker_data))
        if left is not None:
            self._console.say(f"stopping broker {left.pid}, which an earlier run left behind")
            arguments = ["broker", "stop", "--data-dir", str(self._folder.broker_data)]
            stopper = Child("broker stop", arguments, self._folder.broker_log)
            while stopper.wait(_LOOK_S) is None:
                self._raise_if_stopped()
            stopper.stop()
        self._folder.write_broker_file(self._options.partitions)
        self._broker = self._keeper.keep(Kept(self._spawn_broker, self._console.say))
        self._console.say(f"broker: 127.0.0.1:{self._port}, data in {self._folder.broker_data}")
        return f"127.0.0.1:{self._port}"

    def _spawn_broker(self) -> Child:
        folder = self._folder
        arguments = ["broker", "start", str(folder.broker_file), "--port", str(self._port)]
        arguments += ["--data-dir", str(folder.broker_data), "-o", "json"]
        child = Child("broker", arguments, folder.broker_log)
        while not select.select([child.stdout], [], [], _LOOK_S)[0]:
            if self._stop.is_set() or self._keeper.ending.is_set():
                child.stop()
                raise InterruptedJobError
        line = child.stdout.readline()
        if line:
            address = str(orjson.loads(line)["bootstrap"])
            self._port = int(address.rpartition(":")[2])
        else:
            child.wait(_ANSWER_S)
        return child

    def _destination(self, bootstrap: str) -> Destination:
        """The topic, created if absent. Ticks are older than any retention: it keeps them all."""
        options = self._options
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        topic = NewTopic(options.topic, options.partitions, config={"retention.ms": "-1"})
        deadline_ms = self._clock.monotonic_ms() + int(_REACH_S * 1000)
        while (error := _create(admin, topic)) is not None:
            if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                break
            if error.code() not in _AWAY or self._clock.monotonic_ms() > deadline_ms:
                raise TopicError(f"topic {options.topic} on {bootstrap}: {error.str()}")
            self._raise_if_stopped()
            self._stop.wait(_LOOK_S)
        else:
            self._console.say(f"topic {options.topic}: created, {options.partitions} partitions")
        with TopicReader(bootstrap, clock=self._clock) as reader:
            while not (partitions := reader.partitions(options.topic)):
                self._raise_if_stopped()
                self._stop.wait(_LOOK_S)
        return Destination(bootstrap=bootstrap, topic=options.topic, partitions=partitions)

    def _start_worker(self, bootstrap: str) -> Kept:
        self._folder.write_worker_files(
            bootstrap=bootstrap, topic=self._options.topic, lake=self._lake, name=self._connector
        )
        return self._keeper.keep(Kept(self._spawn_worker, self._console.say))

    def _spawn_worker(self, *more: str) -> Child:
        files = [str(self._folder.worker_file), str(self._folder.sink_file)]
        return Child("worker", ["worker", "start", *files, *more], self._folder.worker_log)

    def _source(self, rows: RowReader, bad: _BadRows) -> bytes:
        """The file's id. ``rows`` is read only if there is no good row: for the bad ones."""
        with self._again() as same:
            first = next(iter(same), None)
        if first is not None:
            return source_id(rows.identity, first.value)
        for _ in rows:
            self._raise_if_stopped()
        raise MisuseError(
            f"--ticks {self._options.ticks}: holds no good row ({bad.count} bad ones)"
        )

    @contextmanager
    def _again(self) -> Iterator[RowReader]:
        """The same rows once more; the bad ones are told the other time."""
        with self._options.ticks.open("rb") as file:
            name = self._options.ticks.name
            yield RowReader(uncompressed(file), name, self._options.rows, lambda _: None)

    def _feed(
        self, rows: RowReader, destination: Destination, source: bytes, there: Standing
    ) -> Progress:
        pump = Pump(destination, source, self._tally, clock=self._clock, watch=self._watch)
        try:
            pump.run(islice(rows, self._options.count), there.rows, speed=self._options.speed)
        except (InterruptedJobError, BadRowsError):
            pump.drain(_DRAIN_MS)
            raise
        if pump.progress.resumed:
            self._console.say(f"resumed: {pump.progress.resumed:,} rows already in the topic")
        return pump.progress

    def _rows_there(self, destination: Destination, source: bytes) -> Standing:
        """What the topic holds, if these rows may be added to it. RefusedError if not."""
        self._console.status("checking rows already in the topic")

        def ask() -> Standing:
            with TopicReader(destination.bootstrap, clock=self._clock) as reader:
                return look_up(reader, destination.topic, source, self._pause)

        there = self._persist(ask)
        with self._again() as rows:
            watched = self._while_not_stopped(rows)
            check_rows(destination.topic, watched, there, append=self._options.append)
        return there

    def _while_not_stopped(self, rows: Iterable[Row]) -> Iterator[Row]:
        for number, row in enumerate(rows):
            if not number % _LOOK_ROWS:
                self._raise_if_stopped()
            yield row

    def _check_backup(self, bootstrap: str) -> None:
        """A group that has stored records has left manifests: in this lake, or in another one."""
        store, topic, group = self._store(), self._options.topic, f"connect-{self._connector}"
        with TopicWitness(bootstrap, topic, clock=self._clock) as witness:
            for partition in range(witness.partitions()):
                end = witness.expected_end(partition, [self._connector])
                if end is None or end <= witness.bounds(partition)[0]:
                    continue
                place = TopicPartition(TopicName(topic), PartitionIndex(partition))
                if next(iter(store.list(manifest_prefix(self._connector, place))), None) is None:
                    last = self._folder.last_lake(topic)
                    where = f"to {last}" if last not in {None, self._lake} else "already"
                    raise RefusedError(
                        f"topic {topic} was backed up {where} (group {group}), and"
                        f" {self._lake} has no manifest of it (another lake, or deleted): use the"
                        " same --lake, or another -t or --data-dir"
                    )

    def _store_the_rest(self) -> None:
        """The worker ran beside the pump; one more, which ends when all is stored."""
        self._console.status("storing the rest")
        start = Kept(lambda: self._spawn_worker("--once"), self._console.say, finite=True)
        last = self._keeper.keep(start)
        while not last.finished():
            # It may have to wait for the cluster: say what it says, but for its description.
            said = last.last_line()
            if said and not said.startswith(" "):
                self._console.status(f"storing the rest: {said}")
            self._pause(_LOOK_S)

    def _prove(self, bootstrap: str) -> tuple[Report, int]:
        self._console.status("verifying")
        store, topic = self._store(), self._options.topic
        with TopicWitness(bootstrap, topic, clock=self._clock) as witness:
            report = verify(
                store,
                topic,
                witness=witness,
                connector=self._connector,
                topics_dir=_TOPICS_DIR,
            )
        return report, receive(store, topic, _TOPICS_DIR, self._tally.received)

    def _persist(self, action: Callable[[], Answer]) -> Answer:
        """Ask again if our broker died meanwhile: the keeper has started it again."""
        while True:
            restarts = self._broker.restarts if self._broker else 0
            try:
                return action()
            except TopicError:
                self._raise_if_stopped()
                if self._broker is None:
                    raise
                self._broker.check()
                if self._broker.restarts == restarts:
                    raise

    def _pause(self, seconds: float) -> None:
        self._raise_if_stopped()
        self._stop.wait(seconds)

    def _raise_if_stopped(self) -> None:
        if self._stop.is_set():
            self._console.rest()
            raise InterruptedJobError
        try:
            self._keeper.raise_failure()
        except ChildError as error:
            raise ChildError(f"{error}\n{_RESUME}") from error

    def _watch(self, progress: Progress) -> None:
        """Called by the pump, often."""
        self._raise_if_stopped()
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._looked_ms < _LOOK_MS:
            return
        self._looked_ms = now_ms
        sent, acked = progress.rows, self._tally.acked_count
        if sent == progress.resumed:
            self._console.status(f"checking rows already in the topic: {sent:,}")
            return
        done = self._file.tell() / self._file_size if self._file else 0.0
        if self._options.count:
            done = max(done, sent / self._options.count)
        self._console.status(
            f"{sent:,} rows sent, {acked:,} acknowledged, {min(done, 1.0):.0%} of the file"
        )


def reach_store(
    store: ObjectStore,
    clock: Clock,
    status: Callable[[str], None],
    pause: Callable[[float], None],
) -> tuple[str, ...]:
    """The warnings of the store's check; an outage of up to a minute is waited out.

    ObjectStoreError if it lasts longer, or if waiting cannot mend it.
    """
    until_ms = clock.monotonic_ms() + _LAKE_MS
    while True:
        try:
            return store.check()
        except ObjectStoreError as error:
            if not error.retriable or clock.monotonic_ms() >= until_ms:
                raise
            status(f"waiting for the lake: {error}")
        pause(_LAKE_PAUSE_S)


def _create(admin: AdminClient, topic: NewTopic) -> KafkaError | None:
    """Why the topic was not created; None if it was."""
    try:
        admin.list_topics(timeout=_REACH_S)
        admin.create_topics([topic], operation_timeout=_ANSWER_S)[topic.topic].result(_ANSWER_S)
    except KafkaException as caught:
        error: KafkaError = caught.args[0]
        return error
    return None
