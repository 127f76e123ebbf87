"""server.properties as users have them, from the files of Kafka 2.2 and 4.x to typing errors."""

import pytest

from tickertape.base.errors import MisuseError
from tickertape.broker.server.configure import configure
from tickertape.broker.server.server import ServerSettings
from tickertape.config.broker import KEYS, PREFIXES
from tickertape.config.keys import Checked
from tickertape.config.properties import read_properties

KAFKA_2_2 = """\
broker.id=0
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kafka-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
zookeeper.connect=localhost:2181
zookeeper.connection.timeout.ms=6000
group.initial.rebalance.delay.ms=0
"""
KAFKA_4 = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
"""
HOUR_MS = 3_600_000


def settings(text: str, port: int | None = None) -> tuple[ServerSettings, Checked]:
    entries = read_properties(text.encode(), "server.properties")
    return configure(entries, "server.properties", "/default", port)


def host(found: ServerSettings) -> str:
    return found.listeners[0].host


def port_of(found: ServerSettings) -> int:
    return found.listeners[0].port


def shown(found: ServerSettings) -> tuple[str, int] | None:
    return found.listeners[0].advertised


def warnings(checked: Checked) -> list[str]:
    return [str(notice) for notice in checked.notices if notice.kind == "warning"]


def complaint(text: str) -> str:
    with pytest.raises(MisuseError) as caught:
        settings(text)
    return str(caught.value)


def test_kafka_2_2_starts_unchanged() -> None:
    found, checked = settings(KAFKA_2_2)
    assert warnings(checked) == []
    assert (host(found), port_of(found), shown(found)) == ("127.0.0.1", 9092, None)
    assert found.data_dir == "/tmp/kafka-logs"
    assert found.broker.node_id == 0
    assert found.broker.log.retention_ms == 168 * HOUR_MS
    assert "zookeeper.connect" in {note.entry.key for note in checked.notices}


def test_kafka_4_starts_unchanged() -> None:
    found, checked = settings(KAFKA_4)
    assert warnings(checked) == []
    assert (host(found), port_of(found), shown(found)) == ("0.0.0.0", 9092, ("localhost", 9092))
    assert found.data_dir == "/tmp/kraft-combined-logs"


def test_nothing_given_means_this_machine_only_and_fsync_always() -> None:
    found, _ = settings("")
    assert (host(found), port_of(found), found.data_dir) == ("127.0.0.1", 9092, "/default")
    assert found.broker.fsync == "always"


@pytest.mark.parametrize(
    ("text", "retention_ms"),
    [
        ("log.retention.hours=24", 24 * HOUR_MS),
        ("log.retention.hours=24\nlog.retention.minutes=90", 90 * 60_000),
        ("log.retention.hours=24\nlog.retention.minutes=90\nlog.retention.ms=1234", 1234),
        ("log.retention.ms=-1", -1),
        ("log.retention.hours=-1", -1),
    ],
)
def test_the_finer_unit_of_retention_wins(text: str, retention_ms: int) -> None:
    assert settings(text)[0].broker.log.retention_ms == retention_ms


def test_the_finer_unit_of_roll_wins() -> None:
    assert settings("log.roll.hours=24")[0].broker.log.segment_ms == 24 * HOUR_MS
    assert settings("log.roll.hours=24\nlog.roll.ms=5000")[0].broker.log.segment_ms == 5000


def test_old_names_still_count_and_new_ones_win() -> None:
    old = "broker.id=3\nhost.name=10.0.0.1\nport=9999\nlog.dir=/old\n"
    found, _ = settings(old)
    assert (host(found), port_of(found), found.data_dir) == ("10.0.0.1", 9999, "/old")
    assert found.broker.node_id == 3
    found, _ = settings(old + "node.id=4\nlisteners=PLAINTEXT://[::1]:1\nlog.dirs=/new")
    assert (host(found), port_of(found), found.data_dir) == ("::1", 1, "/new")
    assert found.broker.node_id == 4


def test_a_port_flag_moves_what_is_advertised_too() -> None:
    found, _ = settings(KAFKA_4, port=0)
    assert (port_of(found), shown(found)) == (0, ("localhost", 0))
    found, _ = settings("advertised.listeners=PLAINTEXT://outside:31000", port=0)
    assert (port_of(found), shown(found)) == (0, ("outside", 31000))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("num.partitions=0", "server.properties:1: num.partitions: got '0', want a whole number"),
        (
            "#\n\nlog.cleanup.policy=squeeze",
            "server.properties:3: log.cleanup.policy: got 'squeeze'",
        ),
        ("listeners=9092", "want NAME://host:port"),
        ("listeners=PLAINTEXT://h:99999", "want NAME://host:port"),
        ("listeners=X://:1\nlistener.security.protocol.map=X:KERBEROS", "not X (KERBEROS)"),
        ("listeners=PLAINTEXT://:1,PLAINTEXT://:2", "want each name and each port once"),
        ("listeners=SASL_PLAINTEXT://:1", "sasl.enabled.mechanisms: got nothing, want PLAIN"),
        ("sasl.enabled.mechanisms=GSSAPI", "want some of PLAIN, SCRAM-SHA-256"),
        ("ssl.keystore.type=JKS", "keytool -importkeystore"),
        ("ssl.enabled.protocols=TLSv1.1", "older ones are broken"),
        ("ssl.keystore.password=hidden", "got (hidden), want no value"),
        ("plain.sasl.jaas.config=secret", "got (hidden), want a login module"),
        ("authorizer.class.name=com.acme.X", "StandardAuthorizer"),
        ("super.users=admin", "want principals such as User:admin"),
        ("listeners=C://:1\ncontroller.listener.names=C", "want one listener that is not"),
        ("advertised.listeners=PLAINTEXT://:1", "want listeners of `listeners`, each with a host"),
        ("log.dirs=/a,/b", "want one folder"),
        ("log.cleaner.min.cleanable.ratio=2", "want a number from 0 to 1"),
        ("tape.fsync=sometimes", "want one of always, interval, never"),
        (
            "group.min.session.timeout.ms=10\ngroup.max.session.timeout.ms=9",
            "want at most group.max.session.timeout.ms",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(text: str, says: str) -> None:
    assert says in complaint(text)


def test_every_bad_line_is_named_at_once() -> None:
    said = complaint("port=x\nnum.partitions=y\n")
    assert "server.properties:1: port" in said
    assert "server.properties:2: num.partitions" in said


def test_an_unknown_key_is_a_warning_with_the_nearest_name() -> None:
    unknown = "unknown property, ignored"
    _, checked = settings("log.retention.hour=24\nmy.own.key=1\n")
    assert warnings(checked) == [
        f"server.properties:1: log.retention.hour: {unknown}, did you mean log.retention.hours?",
        f"server.properties:2: my.own.key: {unknown}",
    ]


def test_whatever_has_no_effect_has_a_reason_and_each_key_is_there_once() -> None:
    names = [key.name for key in KEYS]
    assert len(names) == len(set(names))
    assert [prefix for prefix, why in PREFIXES.items() if not why] == ["listener.name."]
    entries = "".join(f"{key.name}=1\n" for key in KEYS if key.inert)
    _, checked = settings(entries)
    assert {note.entry.key for note in checked.notices} == {key.name for key in KEYS if key.inert}
    assert all(note.text for note in checked.notices)


def test_every_default_can_be_written_down() -> None:
    for key in KEYS:
        if isinstance(key.default, bool):
            assert key.parse(str(key.default).lower()) is key.default
        elif isinstance(key.default, int | float | str):
            assert key.parse(str(key.default)) == key.default
