"""``tape txn`` on a broker in memory: what it prints, and its exit codes."""

import json

import pytest
from tests.unit.broker.harness import Core
from tests.unit.broker.txn import Producer
from tests.unit.client.stream import CoreStream

from tickertape.cli import reach
from tickertape.cli.main import run
from tickertape.wire.error_codes import ErrorCode

NONE = ErrorCode.NONE


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Core:
    one = Core()
    one.create("t")
    monkeypatch.setattr(reach, "_socket", lambda _: CoreStream(one))
    return one


def opened(core: Core, name: str) -> Producer:
    producer = Producer(core, name)
    assert producer.init() is NONE
    assert producer.begin("t") is NONE
    assert producer.send("t", "a", "b") is NONE
    return producer


def test_one_that_hangs_is_found_with_a_fix_and_ended_by_it(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(core, "lost")
    del core.broker.transactions._entries["lost"]
    assert run(["txn", "hanging"]) == 3
    out, err = capsys.readouterr()
    heads, row = out.splitlines()
    assert heads.split()[:4] == ["TOPIC", "PARTITION", "HELD-BACK", "VERDICT"]
    assert row.split()[:5] == ["t", "0", "2", "hanging", "-"]
    assert err == "t-0: nobody will end it; tape txn abort -t t --partition 0 --start-offset 0\n"
    assert run(err.strip().partition("tape ")[2].split()) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "aborted"
    assert run(["txn", "hanging"]) == 0


def test_one_that_is_overdue_is_found_as_json(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(core, "late")  # at the beginning of the fake clock's time, and it does not tick
    assert run(["txn", "hanging", "-o", "json"]) == 3
    document = json.loads(capsys.readouterr().out)
    (entry,) = document["transactions"]
    assert (entry["verdict"], entry["transactional_id"], entry["held_back"]) == (
        "overdue", "late", 2,
    )  # fmt: skip
    assert "broker 1, which coordinates 'late', should have ended it" in entry["fix"]


def test_one_line_for_each(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    opened(core, "a")
    opened(core, "b")
    assert run(["txn", "list", "-o", "jsonl"]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["transactional_id"] for entry in entries] == ["a", "b"]
    assert {entry["_schema"] for entry in entries} == {"tape.txn.list/1"}
    assert run(["txn", "list", "-o", "jsonl", "--older-than-ms", "9" * 15]) == 0
    assert capsys.readouterr().out == ""
    assert run(["txn", "describe", "a", "b"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[-1] == "t-0"


def test_an_abort_that_is_not_meant(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    opened(core, "a")
    at = ["txn", "abort", "-t", "t", "-p", "0", "--start-offset"]
    assert run([*at, "1"]) == 1
    assert "open at: 0" in capsys.readouterr().err
    assert run([*at, "0"]) == 1
    assert "--force tears this one out of it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["security.protocol=carrier_pigeon"], "security.protocol CARRIER_PIGEON: want PLAINTEXT"),
        (["security.protocol=SASL_PLAINTEXT"], "SASL wants sasl.mechanism"),
        (["security.protocol=SSL", "ssl.ca.location=/nowhere"], "ssl.ca.location or"),
        (["security.protocol=SSL", "ssl.ca.pem=x"], "ssl.ca.location or"),
        (["security.protocol=SSL", "ssl.key.pem=x"], "ssl.key.pem: want ssl.certificate.location"),
    ],
)
def test_properties_that_lead_nowhere(
    given: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["txn", "list", *(word for one in given for word in ("-X", one))]) == 1
    assert complaint in capsys.readouterr().err
