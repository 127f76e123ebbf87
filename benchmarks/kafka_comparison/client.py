"""The client: librdkafka, in a process of its own, the same for every system.

``in_client`` runs a function of a row group in a fresh process, so that no client inherits what an
earlier one has cached or leaked. Bulk records go through librdkafka's C interface (RawProducer),
everything else through confluent-kafka.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from confluent_kafka import Consumer, TopicPartition

from benchmarks.kafka_comparison.systems import cpu_s

P = ParamSpec("P")
T = TypeVar("T")


def in_client(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it in a new process and return what it returns."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args, kwargs)


class Cost:
    """``with Cost(pid) as cost``: what the block took of wall time and of both processes' CPU."""

    def __init__(self, broker_pid: int) -> None:
        self._pid = broker_pid
        self.wall_s = self.broker_cpu_s = self.client_cpu_s = 0.0

    def __enter__(self) -> Self:
        """Begin."""
        self._began = time.perf_counter(), cpu_s(self._pid), own_cpu_s()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        wall, broker, own = self._began
        self.wall_s = time.perf_counter() - wall
        self.broker_cpu_s = cpu_s(self._pid) - broker
        self.client_cpu_s = own_cpu_s() - own


def own_cpu_s() -> float:
    """User and system CPU-seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def records_in(bootstrap: str, topic: str, partitions: int) -> int:
    """The sum of the partitions' end offsets: what has really arrived."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "count"})
    try:
        return sum(
            consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=30)[1]
            for n in range(partitions)
        )
    finally:
        consumer.close()
