"""The Java client, from 2.8 to the newest, on either broker."""

import subprocess

import pytest
from tests.interop.epochs import V1_EPOCH, V2_EPOCH, epoch_of
from tests.interop.harness import (
    HERE,
    Broker,
    Tickertape,
    create_topic,
    java,
    run_client,
    unique,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

VERSIONS = [
    pytest.param("apache", id="4.3"),
    pytest.param("clients-3.9", id="3.9"),
    pytest.param("clients-2.8", id="2.8"),
]
"""Folders of jars; that of Apache Kafka holds the newest kafka-clients."""


def client(jars: str, target: Broker, command: str, *arguments: str) -> list[dict[str, object]]:
    source = str(HERE / "java" / "Client.java")
    return run_client([*java(jars), source, command, target.bootstrap, *arguments], seconds=200)


@pytest.mark.parametrize("jars", VERSIONS)
def test_every_codec_is_read_back_whole_from_the_middle_of_a_batch(
    target: Broker, jars: str
) -> None:
    topic = create_topic(target.bootstrap, unique("java-round"))
    assert client(jars, target, "round", topic)[-1] == {"records": 5001}


@pytest.mark.parametrize("kind", ["dynamic", "static", "cooperative"])
@pytest.mark.parametrize("jars", VERSIONS)
def test_two_members_share_a_topic_and_the_next_go_on_from_the_commit(
    target: Broker, jars: str, kind: str
) -> None:
    topic = create_topic(target.bootstrap, unique("java-group"), partitions=4)
    documents = client(jars, target, "group", topic, unique("java"), kind)
    assert documents[-1] == {"first": 400, "second": 100}


def test_two_members_of_the_consumer_protocol_do_the_same(target: Broker) -> None:
    """KIP-848; only Java's newest clients speak it without a preview."""
    topic = create_topic(target.bootstrap, unique("java-group"), partitions=4)
    documents = client("apache", target, "group", topic, unique("java"), "consumer")
    assert documents[-1] == {"first": 400, "second": 100}


@pytest.mark.parametrize("jars", VERSIONS)
def test_admin_creates_describes_and_deletes(target: Broker, jars: str) -> None:
    (document,) = client(jars, target, "admin", unique("java-admin"))
    assert document["cluster"]
    assert (document["nodes"], document["partitions"]) == (1, 3)


@pytest.mark.parametrize("jars", VERSIONS)
def test_a_record_above_the_topic_limit_is_refused_and_the_next_is_taken(
    target: Broker, jars: str
) -> None:
    config = {"max.message.bytes": "20000"}
    topic = create_topic(target.bootstrap, unique("java-large"), config=config)
    assert client(jars, target, "limits", topic) == [{"next": 1}]


@pytest.mark.parametrize("jars", VERSIONS)
def test_offsets_by_time_and_committed_metadata(target: Broker, jars: str) -> None:
    topic = create_topic(target.bootstrap, unique("java-times"))
    assert client(jars, target, "times", topic) == [
        {"offset": 4, "timestamp": 1_600_000_000_040, "first": 0, "end": 20, "committed": 5}
    ]


@pytest.mark.parametrize("jars", VERSIONS)
def test_transactions(target: Broker, jars: str) -> None:
    topic, name = create_topic(target.bootstrap, unique("java-txn")), unique("tx")
    documents = client(jars, target, "transactions", topic, name)
    assert documents == [{"records": 201, "committed": 2}]
    assert epoch_of(target, name) == (V2_EPOCH if jars == "apache" else V1_EPOCH)


def test_an_older_data_folder_stays_at_v1_until_it_is_upgraded(own_broker: Tickertape) -> None:
    topic = create_topic(own_broker.bootstrap, "java-txn")
    own_broker.stop()
    (own_broker.data_dir / "features.json").unlink()
    own_broker.start()
    client("apache", own_broker, "transactions", topic, "before")
    assert epoch_of(own_broker, "before") == V1_EPOCH
    tool = ["org.apache.kafka.tools.FeatureCommand", "--bootstrap-server", own_broker.bootstrap]
    up = ["upgrade", "--feature", "transaction.version=2"]
    subprocess.run([*java("apache"), *tool, *up], check=True, capture_output=True, timeout=60)
    own_broker.kill()
    own_broker.start()
    topic = create_topic(own_broker.bootstrap, "java-txn-2")
    client("apache", own_broker, "transactions", topic, "after")
    assert epoch_of(own_broker, "after") == V2_EPOCH


@pytest.mark.parametrize("jars", VERSIONS)
def test_a_late_transaction_is_aborted_and_its_owner_is_told(target: Broker, jars: str) -> None:
    topic = create_topic(target.bootstrap, unique("java-late"))
    assert client(jars, target, "late", topic, unique("tx")) == [{"refused": True}]
