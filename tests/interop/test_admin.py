"""The admin clients of librdkafka and kafka-python, on either broker."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer
from confluent_kafka import TopicPartition as At
from confluent_kafka import admin as typed
from confluent_kafka.cimpl import KafkaError, NewPartitions

with warnings.catch_warnings():
    # kafka-python reads its schemas by a deprecated function, here and whenever it needs another
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaAdminClient
    from kafka import TopicPartition as PythonAt
    from kafka.admin import ConfigResource as PythonResource
from tests.interop.harness import PATIENCE_S, Broker, create_topic, eventually, unique

KAFKA: Any = typed  # most of its classes are not exported to type checkers

pytestmark = pytest.mark.filterwarnings("ignore:read_text is deprecated:DeprecationWarning")


def admin_of(target: Broker) -> Any:  # noqa: ANN401  # its methods are hardly typed
    return typed.AdminClient({"bootstrap.servers": target.bootstrap, "log_level": 0})


@pytest.fixture
def python_admin(target: Broker) -> Iterator[Any]:
    admin = KafkaAdminClient(bootstrap_servers=target.bootstrap)
    yield admin
    admin.close()


def only(futures: dict[Any, Any]) -> Any:  # noqa: ANN401  # what librdkafka answers differs by call
    (future,) = futures.values()
    return future.result(PATIENCE_S)


def fill(target: Broker, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": target.bootstrap})
    for n in range(count):
        producer.produce(topic, b"%d" % n, partition=0)
    assert producer.flush(PATIENCE_S) == 0


def commit(target: Broker, topic: str, group: str, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": target.bootstrap, "group.id": group})
    consumer.commit(offsets=[At(topic, 0, offset)], asynchronous=False)
    consumer.close()


def config_of(target: Broker, topic: str) -> dict[str, Any]:
    admin = admin_of(target)
    resource = KAFKA.ConfigResource(KAFKA.ResourceType.TOPIC, topic)
    found: dict[str, Any] = only(admin.describe_configs([resource]))
    return found


def test_configs_are_described_and_altered_in_steps(target: Broker) -> None:
    admin = admin_of(target)
    topic = create_topic(target.bootstrap, unique("admin"), config={"retention.ms": "60000"})
    before = config_of(target, topic)
    assert (before["retention.ms"].value, before["retention.ms"].source) == ("60000", 1)
    assert (before["cleanup.policy"].value, before["cleanup.policy"].source) == ("delete", 5)
    resource = KAFKA.ConfigResource(
        KAFKA.ResourceType.TOPIC,
        topic,
        incremental_configs=[
            KAFKA.ConfigEntry(
                "cleanup.policy", "compact", incremental_operation=KAFKA.AlterConfigOpType.APPEND
            ),
            KAFKA.ConfigEntry(
                "segment.ms", "1234", incremental_operation=KAFKA.AlterConfigOpType.SET
            ),
            KAFKA.ConfigEntry(
                "retention.ms", None, incremental_operation=KAFKA.AlterConfigOpType.DELETE
            ),
        ],
    )
    only(admin.incremental_alter_configs([resource]))
    eventually(lambda: config_of(target, topic)["segment.ms"].value == "1234", "segment.ms")
    after = config_of(target, topic)
    assert after["cleanup.policy"].value == "delete,compact"
    assert after["retention.ms"].value == "604800000"


def test_the_broker_is_described(target: Broker) -> None:
    admin = admin_of(target)
    resource = KAFKA.ConfigResource(KAFKA.ResourceType.BROKER, "1")
    found = only(admin.describe_configs([resource]))
    assert found["offsets.topic.num.partitions"].value == "4"
    assert found["ssl.key.password"].is_sensitive
    assert found["ssl.key.password"].value is None


def test_a_refused_config_is_an_error_of_its_own(target: Broker) -> None:
    admin = admin_of(target)
    topic = create_topic(target.bootstrap, unique("admin"))
    entry = KAFKA.ConfigEntry(
        "segment.ms", "soon", incremental_operation=KAFKA.AlterConfigOpType.SET
    )
    resource = KAFKA.ConfigResource(KAFKA.ResourceType.TOPIC, topic, incremental_configs=[entry])
    with pytest.raises(KafkaException) as caught:
        only(admin.incremental_alter_configs([resource]))
    assert caught.value.args[0].code() == KafkaError.INVALID_CONFIG


def test_partitions_are_added_and_records_deleted(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("admin"))
    admin = admin_of(target)
    only(admin.create_partitions([NewPartitions(topic, 3)]))
    eventually(lambda: len(admin.list_topics(topic).topics[topic].partitions) == 3, "3 partitions")
    fill(target, topic, 10)
    assert only(admin.delete_records([At(topic, 0, 4)])).low_watermark == 4
    consumer = Consumer({"bootstrap.servers": target.bootstrap, "group.id": "nobody"})
    assert consumer.get_watermark_offsets(At(topic, 0), timeout=PATIENCE_S) == (4, 10)
    consumer.close()


def test_groups_are_altered_and_deleted(target: Broker) -> None:
    topic, group = create_topic(target.bootstrap, unique("admin")), unique("group")
    fill(target, topic, 5)
    commit(target, topic, group, 5)
    admin = admin_of(target)
    moved = ConsumerGroupTopicPartitions(group, [At(topic, 0, 2)])
    only(admin.alter_consumer_group_offsets([moved]))
    listed = only(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
    assert [(at.topic, at.offset) for at in listed.topic_partitions] == [(topic, 2)]
    only(admin.delete_consumer_groups([group]))
    with pytest.raises(KafkaException) as caught:
        only(admin.delete_consumer_groups([group]))
    assert caught.value.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND


def test_acls_are_disabled(target: Broker) -> None:
    admin = admin_of(target)
    allowed = KAFKA.AclBinding(
        KAFKA.ResourceType.TOPIC,
        "t",
        KAFKA.ResourcePatternType.LITERAL,
        "User:u",
        "*",
        KAFKA.AclOperation.READ,
        KAFKA.AclPermissionType.ALLOW,
    )
    with pytest.raises(KafkaException) as caught:
        only(admin.create_acls([allowed]))
    assert caught.value.args[0].code() == KafkaError.SECURITY_DISABLED


def test_kafka_python_describes_and_alters(target: Broker, python_admin: Any) -> None:  # noqa: ANN401  # untyped
    topic = create_topic(target.bootstrap, unique("admin"))
    python_admin.create_partitions({topic: 3})
    resource = PythonResource("topic", topic, configs={"segment.ms": "1234"})
    python_admin.alter_configs([resource])
    eventually(lambda: config_of(target, topic)["segment.ms"].value == "1234", "the altered config")
    assert "segment.ms" in str(python_admin.describe_configs([PythonResource("topic", topic)]))
    assert len(python_admin.describe_cluster()["brokers"]) == 1
    assert topic in str(python_admin.describe_log_dirs())


def test_kafka_python_deletes_records_offsets_and_groups(target: Broker, python_admin: Any) -> None:  # noqa: ANN401  # untyped
    topic, group = create_topic(target.bootstrap, unique("admin")), unique("group")
    fill(target, topic, 5)
    commit(target, topic, group, 5)
    deleted = python_admin.delete_records({PythonAt(topic, 0): 3})
    assert "3" in str(deleted)
    python_admin.delete_group_offsets(group, [PythonAt(topic, 0)])
    assert topic not in str(python_admin.list_group_offsets(group))
    python_admin.delete_groups([group])
