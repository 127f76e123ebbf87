"""Metrics, health and readiness over real HTTP, of a broker core in memory."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.broker.harness import Core, batch
from tests.unit.broker.txn import Producer

from tickertape.base.errors import MisuseError
from tickertape.broker.server.core_loop import CoreLoop
from tickertape.broker.server.exposition import take
from tickertape.broker.server.limits import Limits
from tickertape.broker.server.operations import Operations
from tickertape.broker.server.request_meters import RequestMeters

Ask = Callable[[str], tuple[int, str]]


def asked(
    core: Core, questions: Callable[[Ask], Any], *, serves: bool = True,
    meters: RequestMeters | None = None,
) -> Any:  # noqa: ANN401  # whatever they return  # fmt: skip
    """Serve this core's metrics, and run ``questions`` in a thread beside it."""

    async def main() -> Any:  # noqa: ANN401  # as above
        loop = asyncio.get_running_loop()
        operations = Operations("127.0.0.1", 0, loop)
        shell = CoreLoop(core.broker, lambda *_: None, clock=core.clock, limits=Limits())
        shell.meters = meters
        if serves:
            operations.serves(lambda: take(core.broker, shell, shell.commits.seconds, 0))
        address = operations.url.split("/")[2]
        try:
            return await asyncio.to_thread(questions, lambda path: _get(address, path))
        finally:
            operations.close()
            shell.close()

    return asyncio.run(main())


def _get(address: str, path: str) -> tuple[int, str]:
    connection = HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def scraped(core: Core) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    status, text = asked(core, lambda ask: ask("/metrics"))
    assert status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counts_are_those_of_the_core() -> None:
    core = Core()
    core.create("t", 2)
    one, two = batch("a", "b", "c"), batch("d")
    core.produce("t", one)
    core.produce("t", two, partition=1)
    core.fetch("t", 0)
    core.produce("absent", two)
    found = scraped(core)
    topic = (("topic", "t"),)
    traffic = "kafka_server_brokertopicmetrics_"
    assert found[f"{traffic}messagesin_total", ()] == 4
    assert found[f"{traffic}messagesin_total", topic] == 4
    assert found[f"{traffic}bytesin_total", topic] == len(one) + len(two)
    assert found[f"{traffic}bytesout_total", topic] == len(one)
    where = (("partition", "0"), ("topic", "t"))
    assert found["kafka_topic_partition_current_offset", where] == 3
    assert found["kafka_log_log_size", where] == len(one)
    assert found["kafka_topic_partitions", topic] == 2
    assert found["tape_broker_ready", ()] == 1


def test_what_a_retry_did_not_append_is_not_counted() -> None:
    core = Core()
    core.create("t")
    for _ in range(3):
        core.produce("t", batch("a", producer_id=7, producer_epoch=0, base_sequence=0))
    assert scraped(core)["kafka_server_brokertopicmetrics_messagesin_total", ()] == 1


def test_totals_survive_the_topic() -> None:
    core = Core()
    core.create("t")
    core.produce("t", batch("a", "b"))
    topic = core.broker.topics.get("t")
    assert topic is not None
    core.broker.delete_topic(topic)
    found = scraped(core)
    assert found["kafka_server_brokertopicmetrics_messagesin_total", ()] == 2
    assert ("kafka_server_brokertopicmetrics_messagesin_total", (("topic", "t"),)) not in found


def test_an_open_transaction_shows_its_age_and_what_it_holds_back() -> None:
    core = Core()
    core.create("t")
    producer = Producer(core)
    producer.init()
    producer.begin("t")
    producer.send("t", "a", "b")
    core.produce("t", batch("plain"))
    core.clock.advance(2_500)
    found = scraped(core)
    assert found["tape_txn_open", ()] == 1
    assert found["tape_txn_oldest_age_seconds", ()] >= 2.5
    where = (("partition", "0"), ("topic", "t"))
    assert found["kafka_cluster_partition_laststableoffsetlag", where] == 3
    assert found["tape_txn_ids", (("state", "ONGOING"),)] == 1


def test_health_and_readiness_before_it_serves() -> None:
    core = Core()
    answers = asked(core, lambda ask: [ask(p) for p in ("/health", "/ready")], serves=False)
    assert [status for status, _ in answers] == [200, 503]
    assert json.loads(answers[0][1])["status"] == "starting"
    status, text = asked(core, lambda ask: ask("/metrics"), serves=False)
    assert status == 200
    assert "tape_broker_ready 0.0" in text


def test_a_failed_log_is_alive_and_not_ready() -> None:
    core = Core()
    core.create("t")
    assert asked(core, lambda ask: ask("/ready"))[0] == 200
    core.fs.fail_always(frozenset({"sync"}))
    core.produce("t", batch("a"))
    core.fs.fail_always(frozenset())
    status, text = asked(core, lambda ask: ask("/ready"))
    assert status == 503
    assert "/data/t-0" in json.loads(text)["reasons"][0]
    assert asked(core, lambda ask: ask("/health"))[0] == 200
    found = scraped(core)
    assert found["tape_broker_ready", ()] == 0
    assert found["kafka_controller_kafkacontroller_offlinepartitionscount", ()] == 1


def test_a_full_disk_is_not_ready_until_an_append_works_or_a_minute_has_passed() -> None:
    core = Core()
    core.create("t")

    def refused() -> tuple[int, str]:
        core.fs.fail_at(1)
        core.produce("t", batch("a"))
        answer = asked(core, lambda ask: ask("/ready"))
        assert isinstance(answer, tuple)
        return answer

    status, text = refused()
    assert status == 503
    assert "No space left on device" in text
    core.produce("t", batch("a"))
    assert asked(core, lambda ask: ask("/ready"))[0] == 200
    assert refused()[0] == 503
    core.clock.advance(60_000)
    assert asked(core, lambda ask: ask("/ready"))[0] == 200


def test_other_paths_are_not_found_and_do_no_harm() -> None:
    core = Core()
    status, text = asked(core, lambda ask: ask("/../etc/passwd"))
    assert status == 404
    assert "/metrics" in text


def test_who_sends_a_letter_at_a_time_does_not_keep_others_out() -> None:
    async def main() -> None:
        operations = Operations("127.0.0.1", 0, asyncio.get_running_loop(), client_s=0.2)
        address = operations.url.split("/")[2]
        try:
            await asyncio.to_thread(besiege, address)
        finally:
            operations.close()

    def drip(slow: list[socket.socket]) -> None:
        for _ in range(200):
            time.sleep(0.02)
            for each in slow:
                each.sendall(b"x")

    def besiege(address: str) -> None:
        host, port = address.split(":")
        slow = [socket.create_connection((host, int(port)), timeout=10) for _ in range(16)]
        try:
            for each in slow:
                each.sendall(b"GET /health HTTP/1.1\r\nX: ")
            with pytest.raises(ConnectionError):
                drip(slow)
            for each in slow:
                with contextlib.suppress(ConnectionError):
                    assert each.recv(1) == b""
            assert _get(address, "/health")[0] == 200
        finally:
            for each in slow:
                each.close()

    asyncio.run(main())


def test_a_taken_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        loop = asyncio.new_event_loop()
        with pytest.raises(MisuseError, match=f"cannot listen on 127.0.0.1:{port}"):
            Operations("127.0.0.1", port, loop)
        loop.close()


PANELS = {
    "kafka_topic_partitions": {"topic"},
    "kafka_topic_partition_replicas": {"topic", "partition"},
    "kafka_topic_partition_in_sync_replica": {"topic", "partition"},
    "kafka_topic_partition_under_replicated_partition": {"topic", "partition"},
    "kafka_cluster_partition_underminisr": {"topic", "partition"},
    "kafka_topic_partition_leader_is_preferred": {"topic", "partition"},
    "kafka_topic_partition_current_offset": {"topic", "partition"},
    "kafka_topic_partition_oldest_offset": {"topic", "partition"},
    "kafka_consumergroup_current_offset": {"consumergroup", "topic", "partition"},
    "kafka_consumergroup_lag": {"consumergroup", "topic", "partition"},
}
"""What the panels of Grafana's dashboard 7589 and of Strimzi's one of its kind ask for."""


def test_the_dashboards_of_kafka_exporter_find_their_names() -> None:
    core = Core()
    core.create("t")
    core.produce("t", batch("a", "b", "c"))
    producer = Producer(core)
    producer.init()
    producer.begin_offsets("readers")
    producer.send_offset("readers", "t", 1)
    producer.end(commit=True)
    core.pass_ms(10)
    found = scraped(core)
    labels = {name: {label for label, _ in pairs} for name, pairs in found}
    assert {name: labels.get(name) for name in PANELS} == PANELS
    where = (("consumergroup", "readers"), ("partition", "0"), ("topic", "t"))
    assert found["kafka_consumergroup_current_offset", where] == 1
    assert found["kafka_consumergroup_lag", where] == 2


def test_a_core_that_hangs_is_not_called_alive() -> None:
    core = Core()
    answers: list[tuple[int, str]] = []

    async def main() -> None:
        operations = Operations("127.0.0.1", 0, asyncio.get_running_loop(), patience_s=0.05)
        shell = CoreLoop(core.broker, lambda *_: None, clock=core.clock, limits=Limits())
        operations.serves(lambda: take(core.broker, shell, shell.commits.seconds, 0))
        address = operations.url.split("/")[2]
        asking = threading.Thread(target=lambda: answers.append(_get(address, "/health")))
        asking.start()
        asking.join()  # the loop does nothing meanwhile: it hangs
        operations.close()
        shell.close()

    asyncio.run(main())
    ((status, text),) = answers
    assert status == 503
    assert json.loads(text)["reasons"] == ["the core has not answered for 0.05 s"]


def test_requests_and_errors_are_counted_under_kafkas_names_and_nonsense_under_none() -> None:
    meters = RequestMeters(now_ms=0)
    produce = meters.of(memoryview(b"\x00\x00\x00\x09"))
    describe = meters.of(memoryview(b"\x00\x16"))
    assert produce is not None
    assert describe is not None
    produce.answered(0.0)
    produce.failed(3)
    produce.failed(12_345)
    for frame in (b"\x75\x30", b"\x7f\xff", b"\x00", b""):
        assert meters.of(memoryview(frame)) in {None, produce}
    core = Core()

    def questions(ask: Ask) -> tuple[int, str]:
        return ask("/metrics")

    _, text = asked(core, questions, meters=meters)
    assert 'requests_total{request="Produce"} 1.0' in text
    assert 'errors_total{error="UNKNOWN_TOPIC_OR_PARTITION",request="Produce"} 1.0' in text
    assert 'errors_total{error="12345",request="Produce"} 1.0' in text
    assert 'request="InitProducerId"} 0.0' in text
