"""Kafka's consumer properties as users write them, and what librdkafka gets."""

import pytest

from tickertape.base.errors import MisuseError
from tickertape.connect.runtime.consumer_config import (
    ConsumerConfig,
    consumer_config,
    start_policy,
)
from tickertape.connect.s3.settings import SinkSettings


def config(**java: str) -> ConsumerConfig:
    consumer = {name.replace("_", "."): value for name, value in java.items()}
    settings = SinkSettings(name="s3-sink", topics=("t",), flush_size=1, consumer=consumer)
    return consumer_config(settings, 0)


def test_the_group_and_client_are_those_of_connect() -> None:
    found = config().librdkafka
    assert found["group.id"] == "connect-s3-sink"
    assert found["client.id"] == "connector-consumer-s3-sink-0"
    assert found["enable.auto.commit"] is False
    assert found["isolation.level"] == "read_committed"
    assert config(isolation_level="read_uncommitted").librdkafka["isolation.level"] == (
        "read_uncommitted"
    )


def test_same_names_pass_and_other_names_are_translated() -> None:
    found = config(
        session_timeout_ms="6000", fetch_max_wait_ms="250", sasl_mechanism="SCRAM-SHA-512"
    )
    assert found.librdkafka["session.timeout.ms"] == "6000"
    assert found.librdkafka["fetch.wait.max.ms"] == "250"
    assert found.librdkafka["sasl.mechanisms"] == "SCRAM-SHA-512"
    assert found.warnings == ()


def test_what_only_the_jvm_has_is_dropped_with_a_warning() -> None:
    found = config(max_poll_records="500", metric_reporters="x.Y", interceptor_classes="x.Z")
    assert not {"max.poll.records", "metric.reporters", "interceptor.classes"} & set(
        found.librdkafka
    )
    assert len(found.warnings) == 3


def test_our_decisions_cannot_be_overridden_silently() -> None:
    found = config(
        enable_auto_commit="true",
        partition_assignment_strategy="org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
    )
    assert found.librdkafka["enable.auto.commit"] is False
    assert found.librdkafka["partition.assignment.strategy"] == "range,roundrobin"
    assert len(found.warnings) == 2


def test_a_jaas_line_becomes_name_and_password() -> None:
    line = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required"
        ' username="quant" password="a\\"b";'
    )
    found = config(security_protocol="SASL_SSL", sasl_jaas_config=line).librdkafka
    assert (found["sasl.username"], found["sasl.password"]) == ("quant", 'a"b')
    assert found["security.protocol"] == "SASL_SSL"
    with pytest.raises(MisuseError, match=r"sasl\.jaas\.config"):
        config(sasl_jaas_config="com.sun.security.auth.module.Krb5LoginModule required;")


def test_a_truststore_must_be_pem() -> None:
    found = config(ssl_truststore_type="PEM", ssl_truststore_location="/etc/ca.pem").librdkafka
    assert found["ssl.ca.location"] == "/etc/ca.pem"
    with pytest.raises(MisuseError, match="Export it to PEM"):
        config(ssl_truststore_location="/etc/kafka.jks")


def test_wrong_values_say_what_is_wanted() -> None:
    with pytest.raises(MisuseError, match=r"isolation\.level: got 'committed', want"):
        config(isolation_level="committed")
    with pytest.raises(MisuseError, match=r"auto\.offset\.reset: got 'none', want"):
        start_policy({"auto.offset.reset": "none"})
    assert start_policy({}) == "earliest"


def test_each_task_is_a_static_member_of_its_own() -> None:
    settings = SinkSettings(
        name="s3-sink",
        topics=("t",),
        flush_size=1,
        tasks_max=2,
        consumer={"group.instance.id": "box-7"},
    )
    ids = [consumer_config(settings, n).librdkafka["group.instance.id"] for n in range(2)]
    assert ids == ["box-7-0", "box-7-1"]
    assert config(group_instance_id="box-7").librdkafka["group.instance.id"] == "box-7"
