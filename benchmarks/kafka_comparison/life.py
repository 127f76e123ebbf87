"""A broker's life: start, idle memory, memory after load, kill -9 with 1 GB of log, start again.

Times end with the first acknowledged record, asked for on a plain socket from the moment that
somebody listens. The start is one after an orderly stop, on a folder that holds one topic (a first
start of Kafka has to format the folder besides, which is not counted). Bytecode is cached.
"""

import time

from tests.interop.harness import create_topic

from benchmarks.kafka_comparison.client import in_client, records_in
from benchmarks.kafka_comparison.raw import first_acknowledgement
from benchmarks.kafka_comparison.rows import Group, Measured, Row, Scale
from benchmarks.kafka_comparison.systems import Running, settle
from benchmarks.kafka_comparison.throughput import fetch, produce

_TOPIC, _LOADED = "small", "loaded"
_SIZE = 1000


def _start(broker: Running) -> float:
    settle()
    began = time.perf_counter()
    broker.launch()
    first_acknowledgement(broker.port, _TOPIC)
    return time.perf_counter() - began


def measure(broker: Running, scale: Scale) -> Measured:
    """In the order of the module's first sentence."""
    create_topic(broker.bootstrap, _TOPIC)
    first_acknowledgement(broker.port, _TOPIC)
    broker.stop()
    found = {"start": _start(broker)}
    time.sleep(1)
    found["idle"] = broker.rss_mb()
    create_topic(broker.bootstrap, _LOADED)
    count = scale.restart_megabytes * 1_000_000 // _SIZE
    for load in (produce, fetch):
        in_client(load, broker.bootstrap, broker.pid, _LOADED, _SIZE, count)
    found["loaded"] = broker.rss_mb()
    broker.kill()
    found["restart"] = _start(broker)
    arrived = in_client(records_in, broker.bootstrap, _LOADED, 1)
    assert arrived == count, f"acknowledged {count}, after kill -9 there are {arrived}"
    return found


GROUP = Group(
    "life",
    [
        Row("start", "start to first acknowledged record", "s", more_is_better=False),
        Row("idle", "memory, idle", "MB", more_is_better=False),
        Row("loaded", "memory, after 1 GB in and out", "MB", more_is_better=False),
        Row("restart", "kill -9 with 1 GB of log to first ack", "s", more_is_better=False),
    ],
    measure,
)
