"""Brokers as processes, and what every interop test needs besides: names, patience, a cache folder.

A Broker is started, stopped, killed and restarted on the same port and data folder. Nothing here
knows the protocol except `create_topic`, which goes through librdkafka's admin client.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tickertape.base.world import SystemClock
from tickertape.broker.api.table import SERVED
from tickertape.wire.api_keys import ApiKey

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("INTEROP_CACHE", HERE.parent.parent / ".cache" / "interop"))
PATIENCE_S = 45.0
"""How long anything may take on a loaded machine before a test gives up; not an expectation."""

GROUP_MAX = 8
"""How many members a group may have; no test but those of this very limit has so many."""

SHARED_SETTINGS = {
    "num.partitions": "1",
    "auto.create.topics.enable": "true",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.max.size": str(GROUP_MAX),
    "group.consumer.max.size": str(GROUP_MAX),
}
"""The server.properties that both brokers get."""

CONSUMER_PROTOCOL = ["consumer"] if ApiKey.CONSUMER_GROUP_HEARTBEAT in SERVED else []
"""The group protocol of KIP-848, as a parameter of tests: as soon as our broker serves it."""

Value = TypeVar("Value")


def unique(stem: str) -> str:
    """A name that no other test uses: one broker serves many tests."""
    return f"{stem}-{uuid.uuid4().hex[:10]}"


def eventually(
    probe: Callable[[], Value | None], want: str, *, seconds: float = PATIENCE_S
) -> Value:
    """Ask until the answer is truthy and return it; AssertionError naming `want` if it never is."""
    clock = SystemClock()
    deadline = clock.monotonic_ms() + seconds * 1000
    while True:
        answer = probe()
        if answer:
            return answer
        assert clock.monotonic_ms() < deadline, f"not within {seconds:g} s: {want}; last {answer!r}"
        time.sleep(0.02)


def free_port() -> int:
    """A port that was free a moment ago, for servers that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def cached(name: str) -> Path:
    """A folder that install.sh fills; a failure that says so if it has not run."""
    folder = CACHE / name
    assert folder.is_dir(), f"{folder} is missing: run tests/interop/install.sh"
    return folder


def create_topic(
    bootstrap: str, name: str, *, partitions: int = 1, config: Mapping[str, str] | None = None
) -> str:
    """Create a topic and return its name."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    topic = NewTopic(name, num_partitions=partitions, config=dict(config or {}))
    for created in admin.create_topics([topic], operation_timeout=PATIENCE_S).values():
        created.result(PATIENCE_S)
    return name


class Broker(ABC):
    """One broker process on 127.0.0.1. Ends with kill(), which is safe to repeat."""

    name: str

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.settings = SHARED_SETTINGS | dict(settings or {})
        self.log = folder / "broker.log"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def data_dir(self) -> Path:
        """The folder that holds the partition folders."""

    @abstractmethod
    def start(self) -> None:
        """Return when clients can connect. A second start keeps the port and the data."""

    @abstractmethod
    def launch(self) -> None:
        """Start the process and wait for nothing; after a first start() only."""

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE_S)

    def stop(self) -> None:
        """SIGTERM: a clean shutdown, which leaves snapshots behind."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)

    def _spawn(self, command: list[str]) -> None:
        with self.log.open("ab") as log, (self.folder / "stdout").open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=log, cwd=self.folder)

    def _write_properties(self, settings: Mapping[str, str]) -> Path:
        path = self.folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def _must_live(self) -> None:
        assert self.alive(), f"{self.name} ended while starting:\n{self._tail()}"


class Tickertape(Broker):
    """Our broker, by its command line, as a user starts it."""

    name = "tickertape"
    listeners: dict[str, str]
    """Where each listener is, by its name, once started."""

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def launch(self) -> None:
        properties = self._write_properties(self.settings)
        tape = Path(sys.executable).parent / "tape"
        command = [str(tape), "broker", "start", str(properties), "--data-dir", str(self.data_dir)]
        self._spawn([*command, "--port", str(self.port), "-o", "json"])

    def start(self) -> None:
        self.launch()
        ready = eventually(self._ready_document, "the document of `tape broker start -o json`")
        address = ready["bootstrap"]
        assert isinstance(address, str)
        self.port = int(address.rpartition(":")[2])
        listeners = ready["listeners"]
        assert isinstance(listeners, dict)
        self.listeners = listeners

    def _ready_document(self) -> dict[str, object] | None:
        self._must_live()
        try:
            document = json.loads((self.folder / "stdout").read_text())
        except json.JSONDecodeError:
            return None  # not all of it is written yet
        assert isinstance(document, dict)
        return document


class ApacheKafka(Broker):
    """Apache Kafka as a single KRaft node, from the jars that install.sh resolved."""

    name = "apache"

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def launch(self) -> None:
        properties = self.folder / "server.properties"
        self._spawn([*self.jvm(), "kafka.Kafka", str(properties)])

    def jvm(self) -> list[str]:
        """The start of the broker's command line: tests want it small and soon."""
        return java("apache", heap_mb=400)

    def start(self) -> None:
        if self.port == 0:
            self.port = free_port()
            self._format()
        self.launch()
        eventually(self._answers, "Apache Kafka listens", seconds=90)

    def _format(self) -> None:
        controller = free_port()
        listeners = f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}"
        single = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.data_dir),
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
        }
        properties = self._write_properties(single | self.settings)
        tool = [*java("apache"), "kafka.tools.StorageTool", "format"]
        subprocess.run(
            [*tool, "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", str(properties)],
            check=True,
            capture_output=True,
            timeout=PATIENCE_S,
        )

    def _answers(self) -> bool:
        self._must_live()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=2).brokers)
        except Exception:  # noqa: BLE001  (KafkaException: not ready yet, asked again)
            return False


def java(folder: str, *, heap_mb: int = 256) -> list[str]:
    """The start of a command line that runs a class of a cached folder of jars."""
    classpath = f"{cached(folder)}/*"
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    small = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Xmx{heap_mb}m"]
    return ["java", *small, quiet, "-cp", classpath]


def run_client(command: list[str], *, seconds: float = 90) -> list[dict[str, object]]:
    """Run a client program to its end and return the JSON documents it printed, one a line."""
    done = subprocess.run(command, capture_output=True, timeout=seconds, check=False, text=True)
    assert done.returncode == 0, (
        f"{command[-4:]} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
