"""kafkajs, which takes no notice of a broker's minimum versions: on either broker."""

import os

import pytest
from tests.interop.harness import HERE, Broker, cached, create_topic, run_client, unique

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def node_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_PATH", os.fspath(cached("node") / "node_modules"))
    monkeypatch.setenv("KAFKAJS_NO_PARTITIONER_WARNING", "1")


def client(target: Broker, command: str, *arguments: str) -> dict[str, object]:
    source = os.fspath(HERE / "node" / "client.js")
    (document,) = run_client(["node", source, command, target.bootstrap, *arguments], seconds=200)
    return document


def test_what_is_sent_is_read_in_order(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("js-round"))
    assert client(target, "round", topic) == {"records": 1501}


def test_two_members_share_a_topic_and_the_next_go_on_from_the_commit(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("js-group"), partitions=4)
    assert client(target, "group", topic, unique("js")) == {"first": 400, "second": 100}


def test_admin_creates_describes_and_deletes(target: Broker) -> None:
    document = client(target, "admin", unique("js-admin"))
    assert document.pop("cluster")
    assert document == {"nodes": 1, "partitions": 3, "low": "0", "high": "0"}


def test_a_record_above_the_topic_limit_is_refused_and_the_next_is_taken(target: Broker) -> None:
    config = {"max.message.bytes": "20000"}
    topic = create_topic(target.bootstrap, unique("js-large"), config=config)
    assert client(target, "limits", topic) == {"next": 0}


def test_offsets_by_time_and_commit(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("js-times"))
    assert client(target, "times", topic) == {
        "offset": "4",
        "low": "0",
        "high": "20",
        "committed": "5",
    }


def test_transactions_commit_abort_and_fence(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("js-txn"))
    assert client(target, "transactions", topic, unique("tx")) == {"records": 201, "committed": "2"}


def test_a_late_transaction_is_aborted_and_its_owner_is_told(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("js-late"))
    assert client(target, "late", topic, unique("tx")) == {"refused": True}
