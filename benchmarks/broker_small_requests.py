"""Many small requests: one 100-byte record each, acks=all, 100 in flight.

Goal with fsync on: at least 20,000 requests/s. The client counts the bytes of the answers, which
all have the same length, and checks one of them and the topic's end offset at the end.
"""

import selectors
import socket
import time

from confluent_kafka import Consumer, TopicPartition

from benchmarks._lib import CLIENT_CORE, Broker, RawProducer, arguments, broker, pin
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


def request() -> bytes:
    """A whole frame: one record of 100 B to partition 0 of ``small``."""
    record = Record(0, 1_700_000_000_000, None, bytes(100), ())
    part = PartitionProduce(0, memoryview(write_batch([record])))
    body = write_produce_request(VERSION, ProduceRequest(None, -1, 30_000, [("small", [part])]))
    frame = write_request_header(RequestHeader(ApiKey.PRODUCE, VERSION, 7, "bench")) + body
    return len(frame).to_bytes(4, "big") + frame


def one_answer(sock: socket.socket) -> bytes:
    """A whole answer, size included."""
    head = sock.recv(4, socket.MSG_WAITALL)
    return head + sock.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)


def check(answer: bytes) -> None:
    """No error in it."""
    _, at = read_response_header(memoryview(answer)[4:], ApiKey.PRODUCE, VERSION)
    response = read_produce_response(memoryview(answer)[4:], at, VERSION)
    ((_, (part,)),) = response.topics
    assert part.error == 0, part


def measure(server: Broker, connections: int, depth: int, count: int) -> None:
    """``connections`` times ``depth`` requests in flight until ``count`` are answered."""
    frame = request()
    socks = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(connections)]
    for sock in socks:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(frame)
        answer = one_answer(sock)
        check(answer)
    size = len(answer)
    cpu_s, began = server.cpu_s(), time.perf_counter()
    latencies = pump(socks, frame, size, depth, count)
    wall_s, cpu_s = time.perf_counter() - began, server.cpu_s() - cpu_s
    for sock in socks:
        sock.close()
    latencies.sort()
    print(
        f"  {connections:>3} connections x {depth:>3} in flight: {count / wall_s:>7,.0f} requests/s"
        f"  p50 {latencies[len(latencies) // 2] * 1000:.2f} ms"
        f"  p99 {latencies[len(latencies) * 99 // 100] * 1000:.2f} ms"
        f"  broker {cpu_s / count * 1e6:.1f} CPU-us per request"
    )


def pump(
    socks: list[socket.socket], frame: bytes, size: int, depth: int, count: int
) -> list[float]:
    """Keep ``depth`` in flight on each; returns the age of the oldest at each reading."""
    selector = selectors.EpollSelector()
    partial = dict.fromkeys(socks, 0)
    sent_at = {}
    for sock in socks:
        selector.register(sock, selectors.EVENT_READ)
        sock.sendall(frame * depth)
        sent_at[sock] = time.perf_counter()
    done, sent, ages = 0, len(socks) * depth, []
    while done < count:
        for key, _ in selector.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            answers, partial[sock] = divmod(partial[sock] + len(sock.recv(65_536)), size)
            if not answers:
                continue
            now = time.perf_counter()
            ages.append(now - sent_at[sock])
            done += answers
            more = min(answers, count - sent)
            if more > 0:
                sock.sendall(frame * more)
                sent += more
                sent_at[sock] = now
    return ages


def end_offset(server: Broker) -> int:
    """How many records the topic has."""
    consumer = Consumer({"bootstrap.servers": server.bootstrap, "group.id": "bench"})
    _, high = consumer.get_watermark_offsets(TopicPartition("small", 0), timeout=10)
    consumer.close()
    return high


def main() -> None:
    """Four shapes of 100 in flight, and one client that waits for each answer."""
    given = arguments(__doc__, requests=100_000)
    pin(CLIENT_CORE)
    with broker("--fsync", given.fsync, folder=given.folder) as server:
        first = RawProducer("small", {"bootstrap.servers": server.bootstrap})
        first.send(b"create the topic", 1)
        first.flush()
        first.close()
        expected = 1
        for connections, depth, count in (
            (20, 5, given.requests),
            (100, 1, given.requests),
            (1, 100, given.requests),
            (1, 1, given.requests // 20),
        ):
            measure(server, connections, depth, count)
            expected += count + connections
        assert end_offset(server) == expected, (end_offset(server), expected)


if __name__ == "__main__":
    main()
