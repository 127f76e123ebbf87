"""TLS, SASL and ACLs with real clients on real processes."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient
from tests.interop.harness import PATIENCE_S, Tickertape, create_topic, eventually, unique

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
