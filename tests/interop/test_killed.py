"""kill -9 of our broker under unmodified clients: acknowledged is there once, in order, for all.

The broker comes back on the same port with the same data, as a supervisor would bring it back.
"""

from functools import partial

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from tests.interop import raw
from tests.interop.harness import PATIENCE_S, Tickertape, create_topic, eventually, unique
from tests.interop.raw import Batch, Produced, array, connected, i32, string

FENCED_LEADER_EPOCH = 74
QUICK = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "log_level": 0}


class Counter:
    """An idempotent producer that counts upwards and remembers what was acknowledged."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        settings = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 1}
        self.producer = Producer(settings | QUICK | {"batch.num.messages": 50})
        self.topic = topic
        self.sent = 0
        self.acknowledged: list[tuple[int, int]] = []

    def send(self, count: int) -> None:
        for _ in range(count):
            self.producer.produce(self.topic, b"%d" % self.sent, on_delivery=self._delivered)
            self.sent += 1
            self.producer.poll(0)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        offset, value = message.offset(), message.value()
        assert offset is not None
        assert value is not None
        self.acknowledged.append((offset, int(value)))

    def has(self, count: int) -> bool:
        self.producer.poll(0.01)
        return len(self.acknowledged) >= count


class Witness:
    """A consumer that reads partition 0 through every crash and keeps what it saw."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        settings = {"bootstrap.servers": bootstrap, "group.id": unique("witness")}
        how = {"enable.auto.commit": False, "auto.offset.reset": "error", "fetch.wait.max.ms": 20}
        self.consumer = Consumer(settings | QUICK | how)
        self.consumer.assign([TopicPartition(topic, 0, 0)])
        self.saw: list[tuple[int | None, int]] = []

    def look(self, seconds: float = 0.1) -> None:
        for message in self.consumer.consume(1000, seconds):
            error = message.error()
            if error is None:
                self.saw.append((message.offset(), int(message.value() or b"")))
            else:
                assert error.retriable() or error.code() == KafkaError._ALL_BROKERS_DOWN, error

    def has(self, count: int) -> bool:
        self.look()
        return len(self.saw) >= count


@pytest.mark.parametrize(
    ("kills", "burst"),
    [
        pytest.param(3, 1500, id="short"),
        pytest.param(15, 5000, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_an_idempotent_producer_and_a_consumer_see_each_message_once_in_order(
    own_broker: Tickertape, kills: int, burst: int
) -> None:
    topic = create_topic(own_broker.bootstrap, unique("killed"))
    counter = Counter(own_broker.bootstrap, topic)
    witness = Witness(own_broker.bootstrap, topic)
    for kill in range(1, kills + 1):
        wanted = len(counter.acknowledged) + kill
        counter.send(burst)
        eventually(partial(counter.has, wanted), "a few acknowledgements")
        own_broker.kill()
        witness.look()
        counter.send(burst // 10)
        own_broker.start()
    assert counter.producer.flush(PATIENCE_S) == 0
    in_order = [(n, n) for n in range(counter.sent)]
    assert counter.acknowledged == in_order, "each acknowledged once, at the offset of its turn"
    eventually(lambda: witness.has(counter.sent), "the witness sees the end")
    assert witness.saw == in_order, "and read once, in order, through every crash"
    witness.consumer.close()


def group_consumer(bootstrap: str, group: str) -> Consumer:
    settings = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest"}
    how = {"enable.auto.commit": False, "session.timeout.ms": 6000, "heartbeat.interval.ms": 200}
    return Consumer(settings | QUICK | how)


def consume(consumer: Consumer, count: int) -> list[int]:
    values: list[int] = []

    def enough() -> bool:
        messages = consumer.consume(count - len(values), 0.2)
        values.extend(int(one.value() or b"") for one in messages if one.error() is None)
        return len(values) >= count

    eventually(enough, f"{count} messages")
    return values


def test_a_group_goes_on_from_its_commit(own_broker: Tickertape) -> None:
    topic = create_topic(own_broker.bootstrap, unique("killed-group"))
    counter = Counter(own_broker.bootstrap, topic)
    counter.send(100)
    assert counter.producer.flush(PATIENCE_S) == 0
    group = unique("killed")
    before = group_consumer(own_broker.bootstrap, group)
    before.subscribe([topic])
    assert consume(before, 40) == list(range(40))
    before.commit(asynchronous=False)
    own_broker.kill()
    own_broker.start()
    after = group_consumer(own_broker.bootstrap, group)
    (committed,) = after.committed([TopicPartition(topic, 0)], timeout=PATIENCE_S)
    assert committed.offset == 40
    after.subscribe([topic])
    before.close()  # its member is unknown to the new process, or hands over
    assert consume(after, 60) == list(range(40, 100))
    after.close()


def test_a_live_member_rejoins_and_misses_nothing(own_broker: Tickertape) -> None:
    topic = create_topic(own_broker.bootstrap, unique("killed-member"))
    counter = Counter(own_broker.bootstrap, topic)
    member = group_consumer(own_broker.bootstrap, unique("killed"))
    member.subscribe([topic])
    counter.send(50)
    assert consume(member, 50) == list(range(50))
    member.commit(asynchronous=False)
    own_broker.kill()
    own_broker.start()
    counter.send(50)
    assert consume(member, 50) == list(range(50, 100))
    eventually(lambda: commits(member), "a commit in the new generation")
    member.close()


def commits(member: Consumer) -> bool:
    member.poll(0.1)
    try:
        member.commit(asynchronous=False)
    except KafkaException as error:
        if error.args[0].code() not in {
            KafkaError.ILLEGAL_GENERATION,
            KafkaError.UNKNOWN_MEMBER_ID,
        }:
            raise
        return False
    return True


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_all_five_remembered_batches_survive(own_broker: Tickertape, end: str) -> None:
    """Apache Kafka keeps only the last one in its snapshots: brokers that stop cleanly forget."""
    topic = create_topic(own_broker.bootstrap, unique("window"))
    with connected(own_broker) as connection:
        producer_id, epoch = raw.new_producer_id(connection)
        batches = [
            Batch(producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)
            for sequence in range(6)
        ]
        assert [raw.produce(connection, topic, one) for one in batches[:5]] == [
            Produced(0, offset) for offset in range(5)
        ]
    own_broker.kill() if end == "kill" else own_broker.stop()
    own_broker.start()
    with connected(own_broker) as connection:
        again = [raw.produce(connection, topic, one) for one in batches]
        assert again == [Produced(0, offset) for offset in range(6)]
        assert raw.end_offset(connection, topic) == 6
        assert raw.new_producer_id(connection)[0] > producer_id, "an id is never given twice"


def test_an_unclean_start_begins_a_leader_epoch_and_a_clean_one_does_not(
    own_broker: Tickertape,
) -> None:
    topic = create_topic(own_broker.bootstrap, unique("epoch"))
    with connected(own_broker) as connection:
        raw.produce(connection, topic, Batch())
    own_broker.stop()
    own_broker.start()
    with connected(own_broker) as connection:
        assert raw.fetch(connection, topic, 0, leader_epoch=0).error == 0
        raw.produce(connection, topic, Batch())
    own_broker.kill()
    own_broker.start()
    with connected(own_broker) as connection:
        assert raw.fetch(connection, topic, 0, leader_epoch=0).error == FENCED_LEADER_EPOCH
        assert raw.fetch(connection, topic, 0, leader_epoch=1).error == 0
        raw.produce(connection, topic, Batch())
        assert epoch_end(connection, topic, 0) == (0, 2), (
            "a client of epoch 0 learns where it ended"
        )
        assert epoch_end(connection, topic, 1) == (1, 3)


def epoch_end(connection: raw.Connection, topic: str, epoch: int) -> tuple[int, int]:
    body = array([string(topic) + array([i32(0) + i32(-1) + i32(epoch)])])
    reader = connection.ask(raw.OFFSET_FOR_LEADER_EPOCH, 2, body)
    reader.i32()  # throttle time
    assert (reader.i32(), reader.string(), reader.i32()) == (1, topic, 1)
    assert (reader.i16(), reader.i32()) == (0, 0)
    return reader.i32(), reader.i64()
