"""franz-go and sarama, the two Go clients that people use, on either broker."""

import os

import pytest
from tests.interop.epochs import V2_EPOCH, epoch_of
from tests.interop.harness import (
    CONSUMER_PROTOCOL,
    Broker,
    cached,
    create_topic,
    run_client,
    unique,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

CLIENTS = ["franz", "sarama"]


def client(program: str, target: Broker, command: str, *arguments: str) -> dict[str, object]:
    binary = os.fspath(cached("go") / program)
    (document,) = run_client([binary, command, target.bootstrap, *arguments], seconds=200)
    return document


@pytest.mark.parametrize("program", CLIENTS)
def test_every_codec_is_read_back_whole_from_the_middle_of_a_batch(
    target: Broker, program: str
) -> None:
    topic = create_topic(target.bootstrap, unique("go-round"))
    assert client(program, target, "round", topic) == {"records": 5000}


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("franz", "dynamic"),
        ("franz", "static"),
        ("franz", "cooperative"),
        *[("franz", kind) for kind in CONSUMER_PROTOCOL],
        ("sarama", "dynamic"),
        ("sarama", "static"),
    ],
)
def test_two_members_share_a_topic_and_the_next_go_on_from_the_commit(
    target: Broker, program: str, kind: str
) -> None:
    topic = create_topic(target.bootstrap, unique("go-group"), partitions=4)
    shared = client(program, target, "group", topic, unique("go"), kind)
    assert shared == {"first": 400, "second": 100}


@pytest.mark.parametrize("program", CLIENTS)
def test_admin_creates_alters_describes_and_deletes(target: Broker, program: str) -> None:
    assert client(program, target, "admin", unique("go-admin")) == {
        "retention.ms": "3600000",
        "max.message.bytes": "4096",
        "start": 4,
        "end": 10,
        "partitions": 3,
        "committed": 6,
        "nodes": 1,
        "named": True,
    }


@pytest.mark.parametrize("program", CLIENTS)
def test_a_record_above_the_topic_limit_is_refused_and_the_next_is_taken(
    target: Broker, program: str
) -> None:
    config = {"max.message.bytes": "20000"}
    topic = create_topic(target.bootstrap, unique("go-large"), config=config)
    assert client(program, target, "limits", topic) == {"next": 0}


@pytest.mark.parametrize("program", CLIENTS)
def test_transactions_commit_abort_and_fence(target: Broker, program: str) -> None:
    topic, name = create_topic(target.bootstrap, unique("go-txn")), unique("tx")
    assert client(program, target, "transactions", topic, name) == {"records": 201}
    if program == "franz":  # sarama speaks the older ones
        assert epoch_of(target, name) == V2_EPOCH


@pytest.mark.parametrize("program", CLIENTS)
def test_offsets_go_with_the_records_of_a_transaction(target: Broker, program: str) -> None:
    source = create_topic(target.bootstrap, unique("go-source"))
    sink = create_topic(target.bootstrap, unique("go-sink"))
    done = client(program, target, "process", source, sink, unique("tx"))
    assert done == {"records": 50, "aborted": True}


@pytest.mark.parametrize("program", CLIENTS)
def test_a_late_transaction_is_aborted_and_its_owner_is_told(target: Broker, program: str) -> None:
    topic = create_topic(target.bootstrap, unique("go-late"))
    assert client(program, target, "late", topic, unique("tx")) == {"refused": True}
