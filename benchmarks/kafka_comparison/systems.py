"""The four systems that are compared, and how one of them is started, watched and killed.

Apache Kafka runs as its own scripts start it: one KRaft node, G1, a heap of 1 GB, everything else
as it comes, but for the few settings that both brokers get (tests/interop/harness.py). Nobody is
pinned to a core: client and broker share the machine, as they do on a laptop.
"""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.harness import ApacheKafka, Broker, Tickertape, cached

KAFKA_VERSION = "4.3.0"
HEAP = "1G"
_JVM = (
    "-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35"
    " -XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true"
)  # what kafka-run-class.sh says
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class System:
    """One column of the table."""

    name: str
    label: str
    synced: bool  # acks=all means: it is on the disk
    ours: bool
    settings: tuple[tuple[str, str], ...] = ()


OURS_SYNCED = System("tickertape", "Tickertape", synced=True, ours=True)
OURS = System(
    "tickertape-nosync",
    "Tickertape, fsync off",
    synced=False,
    ours=True,
    settings=(("tape.fsync", "never"),),
)
KAFKA_SYNCED = System(
    "kafka-flush",
    "Kafka, flush.messages=1",
    synced=True,
    ours=False,
    settings=(("log.flush.interval.messages", "1"),),
)
KAFKA = System("kafka", "Kafka, default (no fsync)", synced=False, ours=False)
SYSTEMS = {system.name: system for system in (OURS_SYNCED, KAFKA_SYNCED, OURS, KAFKA)}


class _Kafka(ApacheKafka):
    def jvm(self) -> list[str]:
        """As Kafka's own scripts start it."""
        heap = [f"-Xms{HEAP}", f"-Xmx{HEAP}", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        return ["java", *_JVM.split(), *heap, "-cp", f"{cached('apache')}/*"]


class Running:
    """A started broker of one system."""

    def __init__(self, system: System, broker: Broker) -> None:
        self.system = system
        self._broker = broker

    @property
    def bootstrap(self) -> str:
        """For clients."""
        return self._broker.bootstrap

    @property
    def port(self) -> int:
        """On 127.0.0.1."""
        return self._broker.port

    @property
    def pid(self) -> int:
        """Of the process that now runs."""
        return self._broker.pid

    def rss_mb(self) -> float:
        """Resident memory now, mapped files that are resident included."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._broker.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self._broker.kill()

    def launch(self) -> None:
        """Start again, on the same port and data, and wait for nothing."""
        self._broker.launch()


@contextmanager
def running(system: System, folder: str | None) -> Iterator[Running]:
    """A fresh broker on a fresh folder; killed and removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="tape-compare-", dir=folder))
    kind = Tickertape if system.ours else _Kafka
    broker = kind(root, dict(system.settings))
    try:
        broker.start()
        yield Running(system, broker)
    finally:
        broker.kill()
        shutil.rmtree(root, ignore_errors=True)
        settle()


def settle() -> None:
    """Nothing of what came before is still on its way to the disk."""
    os.sync()


def cpu_s(pid: int) -> float:
    """User and system CPU-seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def connect(port: int, patience_s: float = 120.0) -> socket.socket:
    """A connection as soon as somebody listens."""
    deadline = time.perf_counter() + patience_s
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 30)
        except OSError:
            assert time.perf_counter() < deadline, f"nobody listens on {port}"
            time.sleep(0.002)
