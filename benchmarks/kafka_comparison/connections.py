"""1, 20 and 500 connections, each with one produce request of one 100 B record in flight.

Too many for one librdkafka: plain sockets in one process, which send the same bytes to every
system (Produce version 9) and check each answer's size, the first answer's error code, and the end
offsets afterwards. The connections share 16 partitions.
"""

import selectors
import socket
import time

from tests.interop.harness import create_topic

from benchmarks.kafka_comparison.client import in_client, records_in
from benchmarks.kafka_comparison.raw import produce_frame, until_acknowledged
from benchmarks.kafka_comparison.rows import Group, Measured, Row, Scale, quantile
from benchmarks.kafka_comparison.systems import Running, connect, settle

_COUNTS = (1, 20, 500)
_PARTITIONS = 16


def pump(port: int, bootstrap: str, topic: str, connections: int, seconds: float) -> Measured:
    """Answers per second and their age, after as long a time to warm up."""
    frames = [produce_frame(topic, n) for n in range(_PARTITIONS)]
    selector = selectors.EpollSelector()
    socks: list[socket.socket] = []
    size = 0
    for number in range(connections):
        sock = connect(port)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        frame = frames[number % _PARTITIONS]
        size = until_acknowledged(sock, frame)
        selector.register(sock, selectors.EVENT_READ, frame)
        socks.append(sock)
    total = connections
    sent_at: dict[socket.socket, float] = {}
    for number, sock in enumerate(socks):
        sent_at[sock] = time.perf_counter()
        sock.sendall(frames[number % _PARTITIONS])
    warm_until = time.perf_counter() + seconds
    until, ended = warm_until + seconds, 0.0
    ages: list[float] = []
    while sent_at:
        for key, _ in selector.select():
            client = key.fileobj
            assert isinstance(client, socket.socket)
            got = len(client.recv(65_536))
            assert got == size, f"an answer of {got} bytes, want {size}"
            now = time.perf_counter()
            total += 1
            age = now - sent_at.pop(client)
            if ended:
                continue  # only what is under way is waited for
            if now >= warm_until:
                ages.append(age)
            if now >= until and len(ages) >= connections:
                ended = now
            else:
                sent_at[client] = now
                client.sendall(key.data)
    for sock in socks:
        sock.close()
    arrived = records_in(bootstrap, topic, _PARTITIONS)
    assert arrived == total, f"{topic}: answered {total}, the broker has {arrived}"
    ages.sort()
    return {
        f"connections-{connections}": len(ages) / (ended - warm_until),
        f"connections-{connections}-p99": quantile(ages, 0.99) * 1000,
    }


def measure(broker: Running, scale: Scale) -> Measured:
    """Each number of connections with a topic of its own."""
    found: Measured = {}
    for connections in _COUNTS:
        topic = f"connections-{connections}"
        create_topic(broker.bootstrap, topic, partitions=_PARTITIONS)
        settle()
        found |= in_client(pump, broker.port, broker.bootstrap, topic, connections, scale.seconds)
    return found


def _rows() -> list[Row]:
    names = {n: f"{n} connection{'s' * (n > 1)}, 1 request each" for n in _COUNTS}
    return [
        *(Row(f"connections-{n}", name, "requests/s") for n, name in names.items()),
        *(
            Row(f"connections-{n}-p99", f"{name}, p99", "ms", more_is_better=False)
            for n, name in names.items()
        ),
    ]


GROUP = Group("connections", _rows(), measure)
