"""The same load into 1, 16 and 200 partitions at acks=all: the price of a file for each.

Goal: at 200 partitions at least 60 % of the rate of one. Two clients: librdkafka, which sends one
partition per request, with 1 KB messages; and a bare socket that sends frames made beforehand, 64
batches of 16 KB each, as a Java producer bundles them, so that the client is not the limit.
``--bootstrap`` measures another broker instead of ours, for example Apache Kafka.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks._lib import CLIENT_CORE, RawProducer, broker, machine, parser, pin
from benchmarks.broker_small_requests import one_answer
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.frame import RequestHeader, read_response_header, write_request_header
from tickertape.wire.produce import (
    PartitionProduce,
    ProduceRequest,
    read_produce_response,
    write_produce_request,
)
from tickertape.wire.records import Record, write_batch

VERSION = 9
PARTITIONS = (1, 16, 200)
_BATCHES_PER_REQUEST = 64
_RECORDS_PER_BATCH = 16
_IN_FLIGHT = 5


def librdkafka(bootstrap: str, topic: str, partitions: int, megabytes: int) -> int:
    """Messages of 1 KB, a hundred to each partition in turn; the bytes sent."""
    producer = RawProducer(
        topic,
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": "true",
            "linger.ms": "5",
            "batch.size": "1000000",
            "queue.buffering.max.messages": "200000",
        },
    )
    chunk = 100
    for turn in range(megabytes * 1000 // chunk):
        producer.send(bytes(1000), chunk, turn % partitions, batch=chunk)
    producer.flush()
    producer.close()
    return megabytes * 1_000_000


def bare_socket(bootstrap: str, topic: str, partitions: int, megabytes: int) -> int:
    """Five frames in flight, 64 batches of 16 KB in each; the bytes sent."""
    host, _, port = bootstrap.rpartition(":")
    frames = [_frame(topic, partitions, turn) for turn in range(16)]
    count = max(1, megabytes * 1_000_000 // len(frames[0]))
    with socket.create_connection((host, int(port))) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for turn in range(count + _IN_FLIGHT):
            if turn >= _IN_FLIGHT:
                _check(one_answer(sock))
            if turn < count:
                sock.sendall(frames[turn % len(frames)])
    return count * len(frames[0])


def _frame(topic: str, partitions: int, turn: int) -> bytes:
    records = [Record(n, 1_700_000_000_000, None, bytes(1000)) for n in range(_RECORDS_PER_BATCH)]
    batch = memoryview(write_batch(records))
    first = turn * _BATCHES_PER_REQUEST
    each = min(partitions, _BATCHES_PER_REQUEST)
    # A request names a partition once: fewer partitions get more records in one batch.
    if each < _BATCHES_PER_REQUEST:
        many = _RECORDS_PER_BATCH * _BATCHES_PER_REQUEST // each
        records = [Record(n, 1_700_000_000_000, None, bytes(1000)) for n in range(many)]
        batch = memoryview(write_batch(records))
    parts = [PartitionProduce((first + n) % partitions, batch) for n in range(each)]
    body = write_produce_request(VERSION, ProduceRequest(None, -1, 30_000, [(topic, parts)]))
    frame = write_request_header(RequestHeader(ApiKey.PRODUCE, VERSION, turn, "bench")) + body
    return len(frame).to_bytes(4, "big") + frame


def _check(answer: bytes) -> None:
    _, at = read_response_header(memoryview(answer)[4:], ApiKey.PRODUCE, VERSION)
    response = read_produce_response(memoryview(answer)[4:], at, VERSION)
    wrong = [part for _, parts in response.topics for part in parts if part.error]
    assert not wrong, wrong[0]


CLIENTS: dict[str, Callable[[str, str, int, int], int]] = {
    "librdkafka": librdkafka,
    "bare socket": bare_socket,
}


@contextmanager
def target(
    bootstrap: str, fsync: str, folder: str | None
) -> Iterator[tuple[str, Callable[[], float]]]:
    """Who is measured, and how much CPU time it has used (0 if it is not ours)."""
    with nullcontext() if bootstrap else broker("--fsync", fsync, folder=folder) as server:
        if server is None:
            yield bootstrap, lambda: 0.0
        else:
            yield server.bootstrap, server.cpu_s


def main() -> None:
    """A line for each client and number of partitions."""
    arguments = parser(__doc__, megabytes=400, rounds=3)
    arguments.add_argument("--bootstrap", default="")
    given = arguments.parse_args()
    print(machine())
    pin(CLIENT_CORE)
    with target(given.bootstrap, given.fsync, given.folder) as (bootstrap, cpu_s):
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for name, client in CLIENTS.items():
            base = 0.0
            for partitions in PARTITIONS:
                topic = f"{name.replace(' ', '-')}-{partitions}"
                for made in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
                    made.result()
                client(bootstrap, topic, partitions, max(1, given.megabytes // 10))
                rates = []
                used = cpu_s()
                for _ in range(given.rounds):
                    began = time.perf_counter()
                    sent = client(bootstrap, topic, partitions, given.megabytes)
                    rates.append(sent / 1e6 / (time.perf_counter() - began))
                used = (cpu_s() - used) / (given.rounds * given.megabytes)
                rate = sorted(rates)[len(rates) // 2]
                base = base or rate
                print(
                    f"  {name:>11}, {partitions:>3} partitions: {rate:6.0f} MB/s"
                    f" ({min(rates):.0f} to {max(rates):.0f}), {rate / base * 100:3.0f} % of one;"
                    f" broker {used * 1000:.2f} CPU-ms per MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
