"""``tape txn`` on either broker: who is open, who holds readers back, and how that ends."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from tests.interop.harness import PATIENCE_S, Broker, create_topic, eventually, unique

from tickertape.cli.main import run

TAPE = Path(sys.executable).parent / "tape"


def tape(
    target: Broker, *arguments: object, code: int = 0, output: str = "json"
) -> "subprocess.CompletedProcess[str]":
    command = [TAPE, "txn", *arguments, "-b", target.bootstrap, "-o", output]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == code, done
    return done


def found(target: Broker, *arguments: object, code: int = 0) -> list[dict[str, Any]]:
    document = json.loads(tape(target, *arguments, code=code).stdout)
    assert document["_schema"] == f"tape.txn.{arguments[0]}/1"
    entries = document["transactions"]
    assert isinstance(entries, list)
    return entries


def opened(target: Broker, topic: str, records: int) -> tuple[Producer, str]:
    name = unique("tx")
    producer = Producer({"bootstrap.servers": target.bootstrap, "transactional.id": name})
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    for n in range(records):
        producer.produce(topic, b"%d" % n, partition=0)
    assert producer.flush(PATIENCE_S) == 0
    return producer, name


def test_who_holds_readers_back_and_how_it_is_ended(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("txn"))
    producer, name = opened(target, topic, 3)
    later, _ = opened(target, topic, 2)
    first, second = found(target, "hanging", "--all", "-t", topic)
    assert (first["transactional_id"], first["verdict"], first["held_back"]) == (name, "open", 5)
    assert (first["start_offset"], second["start_offset"], second["held_back"]) == (0, 3, 0)
    assert found(target, "hanging", "-t", topic) == []  # all of it is in order
    (shown,) = found(target, "describe", name)
    assert (shown["state"], shown["coordinator"]) == ("Ongoing", 1)
    assert shown["partitions"] == [{"topic": topic, "partition": 0}]
    assert shown["producer_id"] == first["producer_id"]
    (listed,) = found(target, "list", "--state", "Ongoing", "--pattern", name)
    assert listed["transactional_id"] == name
    at = ["abort", "-t", topic, "-p", 0, "--start-offset", 0]
    assert f"that of '{name}' (Ongoing)" in tape(target, *at, code=1).stderr
    assert found(target, *at, "--force")[0]["outcome"] == "aborted"
    assert "open at: 3" in tape(target, *at, code=1).stderr
    lines = tape(target, "hanging", "--all", "-t", topic, output="jsonl").stdout.splitlines()
    (left,) = map(json.loads, lines)
    assert (left["_schema"], left["start_offset"]) == ("tape.txn.hanging/1", 3)
    producer.abort_transaction(PATIENCE_S)
    later.commit_transaction(PATIENCE_S)
    eventually(lambda: not found(target, "hanging", "--all", "-t", topic), "nothing is open")
    heads, row = tape(target, "describe", name, output="table").stdout.splitlines()
    assert heads.split()[0] == "TRANSACTIONAL-ID"
    assert row.split()[4] == "CompleteAbort"


def test_what_is_not_there(target: Broker) -> None:
    nobody = unique("nobody")
    refused = tape(target, "describe", nobody, code=1)
    assert refused.stderr.startswith(f"tape: transactional id '{nobody}': TRANSACTIONAL_ID_NOT_F")
    assert "UNKNOWN_TOPIC_OR_PARTITION" in tape(target, "hanging", "-t", nobody, code=1).stderr
    assert "no such state: Asleep" in tape(target, "list", "--state", "Asleep", code=1).stderr


def test_nobody_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["txn", "list", "-b", "127.0.0.1:1"]) == 1
    assert "no broker answers at 127.0.0.1:1" in capsys.readouterr().err
