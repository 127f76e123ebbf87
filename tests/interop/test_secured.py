"""TLS, SASL and ACLs with real clients on real processes."""

import asyncio
import ssl
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiokafka
import pytest
import trustme
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # kafka-python, of its own doing
    from kafka import KafkaConsumer, KafkaProducer
from tests.interop.harness import (
    HERE,
    PATIENCE_S,
    Tickertape,
    cached,
    create_topic,
    eventually,
    java,
    run_client,
    unique,
)

pytestmark = pytest.mark.filterwarnings("ignore:read_text is deprecated:DeprecationWarning")
USERS = {"admin": "admin-secret", "alice": "alice-secret"}
JAAS = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required"
    ' user_admin="admin-secret" user_alice="alice-secret";'
)


class Secured:
    """A broker with a listener of each kind, and what clients need to reach it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.server = folder / "server.pem"
        issued = authority.issue_cert("127.0.0.1", "localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(str(self.server))
        self.client = folder / "client.pem"
        mine = authority.issue_cert("client@example.org", common_name="carol")
        mine.private_key_and_cert_chain_pem.write_to_path(str(self.client))
        self.broker = Tickertape(folder, self._settings())
        tape = Path(sys.executable).parent / "tape"
        for name, password in USERS.items():
            command = [str(tape), "broker", "add-user", name, "--password-file", "-"]
            subprocess.run(
                [*command, "--data-dir", str(self.broker.data_dir)],
                input=f"{password}\n".encode(),
                check=True,
                capture_output=True,
                timeout=PATIENCE_S,
            )
        self.broker.start()

    def _settings(self) -> dict[str, str]:
        doors = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL", "MUTUAL")
        return {
            "listeners": ",".join(f"{door}://127.0.0.1:0" for door in doors),
            "listener.security.protocol.map": "MUTUAL:SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.server),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.truststore.location": str(self.ca),
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": JAAS,
            "listener.name.sasl_ssl.plain.sasl.jaas.config": JAAS,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:admin;User:ANONYMOUS",
        }

    def librdkafka(self, door: str, mechanism: str = "", user: str = "admin") -> dict[str, Any]:
        """Properties for a client of that listener."""
        found: dict[str, Any] = {
            "bootstrap.servers": self.broker.listeners[door],
            "security.protocol": "SSL" if door == "MUTUAL" else door,
            "ssl.ca.location": str(self.ca),
            "log_level": 0,
        }
        if door == "MUTUAL":
            found["ssl.certificate.location"] = str(self.client)
            found["ssl.key.location"] = str(self.client)
        if mechanism:
            found["sasl.mechanism"] = mechanism
            found["sasl.username"] = user
            found["sasl.password"] = USERS.get(user, "guess")
        return found


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    made = Secured(tmp_path_factory.mktemp("secured"))
    try:
        yield made
    finally:
        made.broker.kill()


DOORS = [
    ("PLAINTEXT", ""),
    ("SSL", ""),
    *(
        (door, mechanism)
        for door in ("SASL_PLAINTEXT", "SASL_SSL")
        for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    ),
]


@pytest.mark.parametrize(("door", "mechanism"), DOORS)
def test_librdkafka_goes_through_every_door(secured: Secured, door: str, mechanism: str) -> None:
    topic = create_topic(secured.broker.bootstrap, unique("doors"))
    properties = secured.librdkafka(door, mechanism)
    value = bytes(300_000)
    producer = Producer(properties | {"compression.type": "none"})
    for number in range(5):
        producer.produce(topic, value, key=str(number))
    assert producer.flush(PATIENCE_S) == 0
    consumer = Consumer(properties | {"group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    keys: list[bytes | None] = []
    while len(keys) < 5:
        message = consumer.poll(PATIENCE_S)
        assert message is not None
        assert not message.error(), message.error()
        assert message.value() == value
        keys.append(message.key())
    consumer.close()
    assert keys == [b"0", b"1", b"2", b"3", b"4"]
    host, _, port = secured.broker.listeners[door].rpartition(":")
    brokers = AdminClient(properties).list_topics(timeout=PATIENCE_S).brokers
    assert [f"{each.host}:{each.port}" for each in brokers.values()] == [f"{host}:{port}"]


def _refused(admin: AdminClient, errors: list[KafkaError]) -> list[KafkaError]:
    admin.poll(0.1)
    return [each for each in errors if each.code() == KafkaError._AUTHENTICATION]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_bad_password_and_an_unknown_user_get_the_same_answer(
    secured: Secured, mechanism: str
) -> None:
    said = []
    for user, password in (("alice", "wrong"), ("nobody", "wrong")):
        errors: list[KafkaError] = []
        properties = secured.librdkafka("SASL_SSL", mechanism, user)
        admin = AdminClient(properties | {"sasl.password": password, "error_cb": errors.append})
        failed = eventually(partial(_refused, admin, errors), "an authentication error")
        said.append(failed[0].str().rpartition("SASL authentication error: ")[2].split(" (")[0])
    assert said[0] == said[1]
    log = secured.broker.log.read_text()
    assert "authentication failed" in log
    assert "wrong" not in log


def test_a_certificate_is_a_principal(secured: Secured) -> None:
    """User:CN=carol (with what trustme puts around it) may do what its rules say, no more."""
    admin = AdminClient(secured.librdkafka("MUTUAL"))
    assert admin.list_topics(timeout=PATIENCE_S).topics == {}
    stranger = secured.librdkafka("MUTUAL")
    del stranger["ssl.certificate.location"], stranger["ssl.key.location"]
    with pytest.raises(KafkaException):
        AdminClient(stranger).list_topics(timeout=2)


def test_a_client_without_rights_is_told_nothing_else(secured: Secured) -> None:
    topic = create_topic(secured.broker.bootstrap, unique("hidden"))
    alice = AdminClient(secured.librdkafka("SASL_SSL", "SCRAM-SHA-512", "alice"))
    assert topic not in alice.list_topics(timeout=PATIENCE_S).topics
    for name in (topic, unique("absent")):
        found = alice.list_topics(name, timeout=PATIENCE_S).topics[name]
        assert found.error is not None
        assert found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def _tls(secured: Secured) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(secured.ca))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_kafka_python(secured: Secured, mechanism: str) -> None:
    topic = create_topic(secured.broker.bootstrap, unique("python"))
    security: dict[str, Any] = {
        "bootstrap_servers": secured.broker.listeners["SASL_SSL"],
        "security_protocol": "SASL_SSL",
        "ssl_context": _tls(secured),
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "admin",
        "sasl_plain_password": "admin-secret",
    }
    producer = KafkaProducer(**security)
    assert producer.send(topic, b"x").get(timeout=PATIENCE_S).offset == 0
    producer.close()
    consumer = KafkaConsumer(
        topic, **security, auto_offset_reset="earliest", consumer_timeout_ms=20_000
    )
    assert next(consumer).value == b"x"
    consumer.close()


def test_aiokafka(secured: Secured) -> None:
    topic = create_topic(secured.broker.bootstrap, unique("aio"))

    async def scenario() -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=secured.broker.listeners["SASL_SSL"],
            security_protocol="SASL_SSL",
            ssl_context=_tls(secured),
            sasl_mechanism="SCRAM-SHA-256",
            sasl_plain_username="admin",
            sasl_plain_password="admin-secret",
        )
        await producer.start()
        assert (await producer.send_and_wait(topic, b"x")).offset == 0
        await producer.stop()

    asyncio.run(scenario())


@pytest.mark.real
def test_kafkajs(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_PATH", str(cached("node") / "node_modules"))
    topic = create_topic(secured.broker.bootstrap, unique("js"))
    program = """
        const { Kafka, logLevel } = require('kafkajs')
        const [address, ca, topic] = process.argv.slice(1)
        const ssl = { ca: [require('fs').readFileSync(ca, 'utf-8')] }
        const sasl = { mechanism: 'scram-sha-512', username: 'admin', password: 'admin-secret' }
        const brokers = [address], logs = { logLevel: logLevel.NOTHING }
        const producer = new Kafka({ ...logs, brokers, ssl, sasl }).producer()
        producer.connect()
          .then(() => producer.send({ topic, messages: [{ value: 'x' }] }))
          .then(([sent]) => console.log(JSON.stringify({ offset: sent.baseOffset })))
          .then(() => producer.disconnect())
          .catch(error => { console.error(String(error)); process.exit(1) })
    """
    given = [secured.broker.listeners["SASL_SSL"], str(secured.ca), topic]
    assert run_client(["node", "-e", program, *given]) == [{"offset": "0"}]


def _java_properties(secured: Secured, folder: Path, user: str) -> Path:
    path = folder / f"{user}.properties"
    module = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    path.write_text(
        "security.protocol=SASL_SSL\n"
        "sasl.mechanism=SCRAM-SHA-512\n"
        f'sasl.jaas.config={module} username="{user}" password="{USERS[user]}";\n'
        "ssl.truststore.type=PEM\n"
        f"ssl.truststore.location={secured.ca}\n"
    )
    return path


def test_tape_with_a_java_properties_file(secured: Secured, tmp_path: Path) -> None:
    config = str(_java_properties(secured, tmp_path, "admin"))
    topic = create_topic(secured.broker.bootstrap, unique("tape"))
    tape = str(Path(sys.executable).parent / "tape")
    there = ["-b", secured.broker.listeners["SASL_SSL"], "--command-config", config]

    def run(*arguments: str, lines: bytes = b"") -> str:
        done = subprocess.run(
            [tape, *arguments, *there],
            input=lines, capture_output=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    run("produce", "-t", topic, lines=b"one\n")
    read = ("consume", "-t", topic, "--from-beginning", "--max-messages", "1")
    assert run(*read) == "one\n"
    assert topic in run("topic", "list")
    run("group", "list")


@pytest.mark.real
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("jars", "command", "said"),
    [
        pytest.param("apache", "round", {"records": 5001}, id="4.3"),
        pytest.param("apache", "transactions", {"records": 201, "committed": 2}, id="4.3-txn"),
        pytest.param("clients-2.8", "round", {"records": 5001}, id="2.8"),
    ],
)
def test_java(
    secured: Secured, tmp_path: Path, jars: str, command: str, said: dict[str, object]
) -> None:
    """Producers and consumers over TLS, known by SCRAM."""
    config = _java_properties(secured, tmp_path, "admin")
    topic = create_topic(secured.broker.bootstrap, unique("java"))
    program = [f"-Dclient.properties={config}", str(HERE / "java" / "Client.java")]
    more = [unique("tx")] if command == "transactions" else []
    address = secured.broker.listeners["SASL_SSL"]
    done = run_client([*java(jars), *program, command, address, topic, *more], seconds=200)
    assert done[-1] == said


@pytest.mark.real
@pytest.mark.timeout(240)
def test_kafkas_own_tools(secured: Secured, tmp_path: Path) -> None:
    """kafka-configs makes a user, kafka-acls grants rights, the console client uses them."""
    config = str(_java_properties(secured, tmp_path, "admin"))

    def run(tool: str, *arguments: str) -> str:
        server = ["--bootstrap-server", secured.broker.listeners["SASL_SSL"]]
        done = subprocess.run(
            [*java("apache"), tool, *server, "--command-config", config, *arguments],
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"
        return done.stdout

    configs, acls = "kafka.admin.ConfigCommand", "org.apache.kafka.tools.AclCommand"
    dave = ["--entity-type", "users", "--entity-name", "dave"]
    scram = "SCRAM-SHA-256=[iterations=8192,password=dave-secret]"
    run(configs, "--alter", *dave, "--add-config", scram)
    run(configs, "--alter", *dave, "--add-config", "producer_byte_rate=1048576")
    shown = run(configs, "--describe", *dave)
    assert "SCRAM-SHA-256=iterations=8192" in shown
    assert "producer_byte_rate=1048576" in shown
    assert "secret" not in secured.broker.log.read_text()
    topic = create_topic(secured.broker.bootstrap, unique("granted"))
    granted = ["--add", "--allow-principal", "User:dave", "--producer", "--topic", topic]
    assert "operation=WRITE, permissionType=ALLOW" in run(acls, *granted)
    USERS["dave"] = "dave-secret"
    producer = Producer(secured.librdkafka("SASL_SSL", "SCRAM-SHA-256", "dave"))
    producer.produce(topic, b"x")
    assert producer.flush(PATIENCE_S) == 0
    listed = run(acls, "--list", "--topic", topic)
    assert "principal=User:dave, host=*, operation=DESCRIBE" in listed
    run(acls, "--remove", "--force", "--topic", topic)
    assert "User:dave" not in run(acls, "--list", "--topic", topic)
    run(configs, "--alter", *dave, "--delete-config", "producer_byte_rate")
    run(configs, "--alter", *dave, "--delete-config", "SCRAM-SHA-256")
    shown = run(configs, "--describe", *dave)
    assert "producer_byte_rate" not in shown
    assert "SCRAM-SHA-256" not in shown


@pytest.mark.parametrize(
    ("door", "mechanism"),
    [
        ("SSL", ""),
        ("MUTUAL", ""),
        ("SASL_PLAINTEXT", "PLAIN"),
        ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
        ("SASL_SSL", "SCRAM-SHA-512"),
    ],
)
def test_tape_txn_comes_through_each_door(secured: Secured, door: str, mechanism: str) -> None:
    done = tape_txn(secured, secured.librdkafka(door, mechanism))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_tape_txn_with_a_wrong_password(secured: Secured, mechanism: str) -> None:
    how = secured.librdkafka("SASL_SSL", mechanism) | {"sasl.password": "guess-again"}
    done = tape_txn(secured, how)
    assert done.returncode == 1
    assert "SASL_AUTHENTICATION_FAILED" in done.stderr
    assert "guess-again" not in done.stderr


def test_tape_txn_does_not_trust_a_stranger(secured: Secured) -> None:
    how = secured.librdkafka("SSL")
    del how["ssl.ca.location"]
    done = tape_txn(secured, how)
    assert done.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


def tape_txn(secured: Secured, how: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    """``tape txn list`` by the properties of a librdkafka client."""
    given = {key: str(value) for key, value in how.items()}
    bootstrap = given.pop("bootstrap.servers")
    words = [word for key, value in given.items() for word in ("-X", f"{key}={value}")]
    tape = Path(sys.executable).parent / "tape"
    return subprocess.run(
        [str(tape), "txn", "list", "-b", bootstrap, *words],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def tape(secured: Secured, *words: str, password: str = "alice-secret") -> "tuple[int, list[str]]":
    """Exit code and stderr of ``tape`` as alice, who has no right at all."""
    login = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "alice",
        "sasl.password": password,
    }
    flags = [word for key, value in login.items() for word in ("-X", f"{key}={value}")]
    door = secured.broker.listeners["SASL_PLAINTEXT"]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "tape"), *words, "-b", door, *flags],
        input=b"a\nb\n",
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stderr.decode().splitlines()


def test_the_console_tools_name_the_right_that_is_missing(secured: Secured) -> None:
    topic = create_topic(secured.broker.listeners["PLAINTEXT"], unique("sec"))
    code, told = tape(secured, "produce", "-t", topic)
    assert code == 1
    assert told[-1].startswith(
        f"tape: not authorised to write to topic {topic}: user alice lacks WRITE on the topic"
    )
    assert told[:-1] == [line for line in told[:-1] if line.startswith("0 lines acknowledged")]
    code, told = tape(secured, "consume", "-t", topic, "--timeout-ms", "20000")
    assert code == 1
    assert told[-1] == f"tape: topic {topic}: Broker: Topic authorization failed"
    code, told = tape(secured, "consume", "-t", topic, "-g", "mine", "--timeout-ms", "20000")
    assert code == 1
    assert "None" not in told[-1]


@pytest.mark.parametrize("words", [("topic", "list"), ("group", "list")])
def test_a_wrong_password_is_told_with_the_address(
    secured: Secured, words: tuple[str, str]
) -> None:
    code, told = tape(secured, *words, password="guess")
    assert code == 1
    door = secured.broker.listeners["SASL_PLAINTEXT"]
    assert len(told) == 1
    assert told[0].startswith(f"tape: no broker answers at {door}: ")
    assert "uthentication" in told[0]
