"""The same records to our broker and to Apache Kafka: after compaction both hold the same ones."""

import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from tests.interop import raw
from tests.interop.harness import (
    PATIENCE_S,
    ApacheKafka,
    Broker,
    Tickertape,
    create_topic,
    eventually,
)
from tests.interop.raw import connected

from tickertape.wire.batch import iter_batches
from tickertape.wire.records import read_records

pytestmark = [pytest.mark.real, pytest.mark.timeout(240), pytest.mark.xdist_group("compaction")]

TOPIC = "compacted"
SEGMENT_MS = 500
DELETE_RETENTION_MS = 3_000
Kept = dict[int, tuple[bytes | None, bytes | None]]


def kept(broker: Broker) -> Kept:
    """(key, value) of each data record by its offset."""
    found: Kept = {}
    with connected(broker) as connection:
        offset = 0
        while True:
            stored = raw.fetch(connection, TOPIC, offset, max_bytes=1 << 20).records
            if not stored:
                return found
            for at, header in iter_batches(stored):
                offset = header.next_offset
                if not header.is_control:
                    inside = read_records(stored, at, header, bytes_max=1 << 20)
                    found.update((r.offset, (r.key, r.value)) for r in inside)


def send(producer: Producer, *pairs: tuple[str, str | None]) -> None:
    for key, value in pairs:
        producer.produce(TOPIC, value, key)
    assert producer.flush(PATIENCE_S) == 0


def transact(broker: Broker, name: str, *pairs: tuple[str, str | None], commit: bool) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": name})
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    send(producer, *pairs)
    if commit:
        producer.commit_transaction(PATIENCE_S)
    else:
        producer.abort_transaction(PATIENCE_S)


def roll(producer: Producer, key: str) -> None:
    """The active segment is never cleaned: end it."""
    time.sleep(1.2 * SEGMENT_MS / 1000)
    send(producer, (key, "filler"))


def scenario(broker: Broker) -> list[Kept]:
    """What is left after the first cleaning, and after the tombstones' time is over."""
    create_topic(
        broker.bootstrap,
        TOPIC,
        config={
            "cleanup.policy": "compact",
            "segment.ms": str(SEGMENT_MS),
            "min.cleanable.dirty.ratio": "0.01",
            "delete.retention.ms": str(DELETE_RETENTION_MS),
        },
    )
    raw.await_leader(broker, TOPIC)
    plain = Producer({"bootstrap.servers": broker.bootstrap})
    send(plain, ("a", "1"), ("b", "1"), ("a", "2"), ("gone", "1"), ("gone", None))
    transact(broker, "first", ("b", "2"), ("c", "1"), ("c", "2"), commit=True)
    transact(broker, "second", ("c", "aborted"), ("d", "aborted"), commit=False)
    transact(broker, "third", ("c", None), ("e", "1"), commit=True)
    roll(plain, "f1")
    # Offsets: 0 a, 1 b, 2 a, 3 gone, 4 its tombstone, 5 b, 6 c, 7 c, 8 commit, 9 c, 10 d, 11 abort,
    # 12 the tombstone of c, 13 e, 14 commit, 15 f1.
    eventually(
        lambda: {0, 1, 3, 6, 7, 9, 10}.isdisjoint(kept(broker)), "the first cleaning", seconds=60
    )
    first = kept(broker)
    time.sleep(1.5 * DELETE_RETENTION_MS / 1000)
    send(plain, ("a", "3"))
    roll(plain, "f2")
    eventually(lambda: {2, 4, 12}.isdisjoint(kept(broker)), "the second cleaning", seconds=60)
    return [first, kept(broker)]


def test_the_same_records_are_left(tmp_path: Path) -> None:
    left = []
    for kind in (Tickertape, ApacheKafka):
        folder = tmp_path / kind.name
        folder.mkdir()
        broker = kind(folder, {"log.cleaner.backoff.ms": "300"})
        try:
            broker.start()
            left.append(scenario(broker))
        finally:
            broker.kill()
    ours, theirs = left
    assert ours[0] == theirs[0]
    assert [value for key, value in ours[0].values() if key == b"gone"] == [None]
    assert ours[1] == theirs[1]
    assert b"gone" not in {key for key, _ in ours[1].values()}
