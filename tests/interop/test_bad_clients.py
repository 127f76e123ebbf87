"""What hostile and broken clients cost a broker's process: memory and descriptors, by /proc."""

import os
import random
import socket
from contextlib import suppress
from pathlib import Path

from tests.interop.harness import Broker, Tickertape, create_topic, eventually, unique
from tests.interop.raw import Batch, connected, end_offset, produce, request

CONNECTIONS = 200
ANNOUNCED = (100 * 1024 * 1024).to_bytes(4, "big")
"""The largest frame that a broker takes: nobody ever sends the rest of it."""
SENT = 10_000
GROWTH_MB_MAX = 40
"""A connection costs some 20 KB; 64 KB for each of 1,000 would be 65 MB, 200 whole frames 20 GB."""


def rss_mb(broker: Broker) -> float:
    pages = int(Path(f"/proc/{broker.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def descriptors(broker: Broker) -> int:
    return len(list(Path(f"/proc/{broker.pid}/fd").iterdir()))


def opened(broker: Broker) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(CONNECTIONS)]


def assert_served(broker: Broker) -> None:
    topic = create_topic(broker.bootstrap, unique("served"))
    with connected(broker) as connection:
        assert produce(connection, topic, Batch()).error == 0
        assert end_offset(connection, topic) == 1


def test_frames_that_are_only_announced_take_no_memory(own_broker: Tickertape) -> None:
    assert_served(own_broker)
    before, files = rss_mb(own_broker), descriptors(own_broker)
    socks = opened(own_broker)
    for sock in socks:
        sock.sendall(ANNOUNCED + bytes(SENT))
    eventually(lambda: descriptors(own_broker) >= files + CONNECTIONS, "all are connected")
    assert_served(own_broker)
    assert rss_mb(own_broker) < before + GROWTH_MB_MAX
    for sock in socks:
        sock.close()
    eventually(lambda: descriptors(own_broker) <= files + 10, "descriptors are given back")


def test_garbage_on_a_thousand_connections_leaves_nothing_behind(own_broker: Tickertape) -> None:
    assert_served(own_broker)
    before, files = rss_mb(own_broker), descriptors(own_broker)
    rng = random.Random(7)
    whole = request(3, 1, b"\0\0\0\0")
    for round_of in range(5):
        for sock in opened(own_broker):
            garbage = rng.randbytes(rng.randrange(1, 2_000))
            framed = len(garbage).to_bytes(4, "big") + garbage
            with suppress(OSError):  # it may have hung up on us already
                sock.sendall(rng.choice([garbage, framed, whole[: round_of + 1], whole + framed]))
            sock.close()
    eventually(lambda: descriptors(own_broker) <= files + 10, "descriptors are given back")
    assert rss_mb(own_broker) < before + GROWTH_MB_MAX
    assert_served(own_broker)


def test_one_byte_at_a_time_on_many_connections_stops_nobody(own_broker: Tickertape) -> None:
    """Slowloris: each connection is a frame that does not end; the others are served meanwhile."""
    before = rss_mb(own_broker)
    socks = opened(own_broker)
    for byte in ANNOUNCED + b"\0\x03\0\x01":
        for sock in socks:
            sock.sendall(bytes([byte]))
        assert_served(own_broker)
    assert rss_mb(own_broker) < before + GROWTH_MB_MAX
    for sock in socks:
        sock.close()
