"""A worker as a process that dies, or falls asleep, before its n-th write.

The product's own classes, composed as ``tape worker start`` does, with a store and a consumer whose
writes are counted. Run: ``python -m tests.crash.worker_process WORKER SINK BOOTSTRAP SIGNAL N``;
SIGNAL is KILL or STOP. SIGTERM ends it.
"""

import os
import signal
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Event

from tickertape.base.ids import TopicPartition
from tickertape.base.world import SystemClock, SystemRng
from tickertape.config.properties import read_properties
from tickertape.connect.runtime.consumer_config import consumer_config
from tickertape.connect.runtime.events import Limits
from tickertape.connect.runtime.kafka_source import KafkaSource
from tickertape.connect.runtime.task import SinkTask
from tickertape.connect.s3.assemble import Flush
from tickertape.connect.s3.commit import CommitOutcome
from tickertape.connect.s3.load import load_settings
from tickertape.connect.s3.target import target_url
from tickertape.objects.open import open_store
from tickertape.objects.store import ObjectStore, PutOutcome


class Fuse:
    """Sends this process a signal before write number ``at``, counting from 0."""

    def __init__(self, signal_number: signal.Signals, at: int) -> None:
        self._signal = signal_number
        self._at = at
        self._writes = count()

    def burn(self) -> None:
        if next(self._writes) == self._at:
            os.kill(os.getpid(), self._signal)


class CountedStore:
    """Delegates; every put is a write."""

    def __init__(self, store: ObjectStore, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse
        self.url = store.url
        self.get = store.get
        self.head = store.head
        self.list = store.list
        self.check = store.check

    def put(
        self,
        key: str,
        data: bytes,
        *,
        create_only: bool = True,
        content_type: str = "application/octet-stream",
    ) -> PutOutcome:
        self._fuse.burn()
        return self._store.put(key, data, create_only=create_only, content_type=content_type)


class CountedSource(KafkaSource):
    """Every commit is a write."""

    fuse: Fuse

    def commit(self, tp: TopicPartition, offset: int, metadata: str) -> CommitOutcome:
        self.fuse.burn()
        return super().commit(tp, offset, metadata)


class Printer:
    """Tells the test what happens, on stdout."""

    def flushed(self, flush: Flush) -> None:
        self.noted(f"flushed {flush.tp} {flush.start}..{flush.end} by {flush.reason}")

    def noted(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def main(worker: str, sink: str, bootstrap: str, signal_name: str, at: str) -> None:
    """Run one task until killed or told to end."""
    fuse = Fuse(signal.Signals[f"SIG{signal_name}"], int(at))
    files = [read_properties(Path(path).read_bytes(), path) for path in (worker, sink)]
    settings = replace(load_settings(*files), bootstrap_servers=bootstrap)
    store = CountedStore(
        open_store(target_url(settings), rng=SystemRng(), sleep=lambda _: None), fuse
    )
    source = CountedSource(
        consumer_config(settings, 0).librdkafka,
        settings.topics,
        with_timestamps=settings.needs_timestamps,
        note=Printer().noted,
    )
    source.fuse = fuse
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    SinkTask(settings, source, store, clock=SystemClock(), listener=Printer(), limits=Limits()).run(
        stop
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
