"""One produce request as bytes, and its answer: for clients that are too many or too impatient."""

import socket
import time

from benchmarks.kafka_comparison.systems import connect
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.frame import RequestHeader, read_response_header, write_request_header
from tickertape.wire.produce import (
    PartitionProduce,
    ProduceRequest,
    read_produce_response,
    write_produce_request,
)
from tickertape.wire.records import Record, write_batch

_VERSION = 9  # the last that names topics and is older than every broker in question


def produce_frame(topic: str, partition: int) -> bytes:
    """A whole frame: one record of 100 B, acks=all."""
    record = Record(0, 1_700_000_000_000, None, bytes(100), ())
    part = PartitionProduce(partition, memoryview(write_batch([record])))
    body = write_produce_request(_VERSION, ProduceRequest(None, -1, 30_000, [(topic, [part])]))
    frame = write_request_header(RequestHeader(ApiKey.PRODUCE, _VERSION, 7, "compare")) + body
    return len(frame).to_bytes(4, "big") + frame


def until_acknowledged(sock: socket.socket, frame: bytes, patience_s: float = 60) -> int:
    """Send it until it is no longer refused (a partition that is new, a broker that starts).

    Returns the size of the answer in bytes, prefix included.
    """
    deadline = time.perf_counter() + patience_s
    while True:
        sock.sendall(frame)
        error, size = _read(sock)
        if error == 0:
            return size
        assert time.perf_counter() < deadline, f"produce: error {error}"
        time.sleep(0.005)


def first_acknowledgement(port: int, topic: str) -> None:
    """Ask again and again until a broker that is just starting has acknowledged one record."""
    frame = produce_frame(topic, 0)
    deadline = time.perf_counter() + 300
    while True:
        try:
            with connect(port) as sock:
                sock.settimeout(60)
                until_acknowledged(sock, frame)
                return
        except OSError:
            assert time.perf_counter() < deadline, "no acknowledgement"


def _read(sock: socket.socket) -> tuple[int, int]:
    head = sock.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        raise ConnectionResetError("closed")
    body = sock.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    _, at = read_response_header(memoryview(body), ApiKey.PRODUCE, _VERSION)
    ((_, (part,)),) = read_produce_response(memoryview(body), at, _VERSION).topics
    return int(part.error), len(head) + len(body)
