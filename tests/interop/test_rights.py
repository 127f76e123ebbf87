"""ACLs on either broker: the same client asks the same things and must be told the same."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from difflib import unified_diff
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from tests.interop.harness import (
    PATIENCE_S,
    ApacheKafka,
    Broker,
    Tickertape,
    create_topic,
    eventually,
    free_port,
)
from tests.rights_kit import Question, questions, told

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.frame import RequestHeader, read_response_header, write_request_header
from tickertape.wire.message import Message
from tickertape.wire.schema.create_acls import (
    AclCreation,
    CreateAclsRequest,
    CreateAclsResponse,
)
from tickertape.wire.schema.sasl_authenticate import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
)
from tickertape.wire.schema.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule required"
SECURITY = {
    "listener.security.protocol.map": "SAFE:SASL_PLAINTEXT,PLAINTEXT:PLAINTEXT,"
    "CONTROLLER:PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.safe.plain.sasl.jaas.config": f'{MODULE} user_alice="alice-secret";',
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}


class SecuredTickertape(Tickertape):
    @property
    def safe(self) -> str:
        return self.listeners["SAFE"]

    def start(self) -> None:
        self.settings |= SECURITY
        self.settings["listeners"] = "PLAINTEXT://127.0.0.1:0,SAFE://127.0.0.1:0"
        super().start()


class SecuredApache(ApacheKafka):
    safe = ""

    def _format(self) -> None:
        self.safe = f"127.0.0.1:{free_port()}"
        controller = free_port()
        doors = f"PLAINTEXT://{self.bootstrap},SAFE://{self.safe}"
        self.settings |= SECURITY
        self.settings |= {
            "listeners": f"{doors},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": doors,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        }
        super()._format()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    brokers: list[Broker] = [
        SecuredTickertape(tmp_path_factory.mktemp("ours")),
        SecuredApache(tmp_path_factory.mktemp("theirs")),
    ]
    try:
        for each in brokers:
            each.start()
            for topic in ("open", "closed"):
                create_topic(each.bootstrap, topic)
            admin = AdminClient({"bootstrap.servers": each.bootstrap, "log_level": 0})
            consumer = Consumer({"bootstrap.servers": each.bootstrap, "group.id": "group"})
            consumer.commit(offsets=[TopicPartition("open", 0, 0)], asynchronous=False)
            consumer.close()
            assert "open" in admin.list_topics(timeout=PATIENCE_S).topics
        yield brokers
    finally:
        for each in brokers:
            each.kill()


class Peer:
    """One connection of bare requests, on ``address``; as ``user`` where that is given."""

    def __init__(self, address: str, user: str | None = None) -> None:
        host, _, port = address.rpartition(":")
        self.sock = socket.create_connection((host, int(port)), PATIENCE_S)
        if user is not None:
            shaken = SaslHandshakeRequest(mechanism="PLAIN")
            assert self.message(17, 1, shaken, SaslHandshakeResponse).error_code == 0
            token = f"\0{user}\0{user}-secret".encode()
            proof = SaslAuthenticateRequest(auth_bytes=token)
            assert self.message(36, 2, proof, SaslAuthenticateResponse).error_code == 0

    def close(self) -> None:
        self.sock.close()

    def message(self, key: int, version: int, request: Message, response: Any) -> Any:  # noqa: ANN401
        frame, at = self.body(key, version, request.encode(version))
        return response.decode(frame, at, version)[0]

    def ask(self, question: Question) -> Any:  # noqa: ANN401  # any response
        frame, at = self.body(question.key, question.version, question.body)
        return question.read(frame, at)

    def body(self, key: int, version: int, body: bytes) -> tuple[memoryview, int]:
        request = write_request_header(RequestHeader(key, version, 5, "rights")) + body
        self.sock.sendall(len(request).to_bytes(4, "big") + request)
        frame = memoryview(self._take(int.from_bytes(self._take(4), "big")))
        _, at = read_response_header(frame, ApiKey(key), version)
        return frame, at

    def _take(self, size: int) -> bytes:
        taken = b""
        while len(taken) < size:
            piece = self.sock.recv(size - len(taken))
            assert piece, "closed"
            taken += piece
        return taken


TOPIC, USERS_GROUP, CLUSTER, TXN = 2, 3, 4, 5
ALL, READ, WRITE, DESCRIBE = 2, 3, 4, 8
DENY, ALLOW, LITERAL, PREFIXED = 2, 3, 3, 4


def rule(
    kind: int, name: str, operation: int, *, pattern: int = LITERAL, permission: int = ALLOW,
    principal: str = "User:alice",
) -> AclCreation:  # fmt: skip
    return AclCreation(
        resource_type=kind, resource_name=name, resource_pattern_type=pattern,
        principal=principal, host="*", operation=operation, permission_type=permission,
    )  # fmt: skip


def grant(broker: Any, rules: Sequence[AclCreation]) -> None:  # noqa: ANN401  # of the two above
    """Add the rules, as the super user."""
    request = CreateAclsRequest(creations=list(rules))
    with closing(Peer(broker.bootstrap)) as root:
        response = root.message(30, 2, request, CreateAclsResponse)
    assert [result.error_code for result in response.results] == [0] * len(rules)


def transcript(broker: Any) -> list[str]:  # noqa: ANN401  # of the two above
    lines = []
    for question in questions():
        with closing(Peer(broker.safe, "alice")) as alice:
            answer = alice.ask(question)
        lines += [f"{question.key.name} {line}" for line in sorted(set(told(answer)))]
    return lines


def alike(secured: list[Any], rules: Sequence[AclCreation], shows: str) -> list[str]:
    """Both brokers' answers under these rules, which must be the same; ours."""
    transcripts = []
    for broker in secured:
        if rules:
            grant(broker, rules)
        transcripts.append(eventually(lambda broker=broker: _shown(broker, shows), shows))  # type: ignore[misc]
    ours, theirs = transcripts
    differing = list(unified_diff(theirs, ours, "Apache Kafka", "Tickertape", n=1, lineterm=""))
    assert not differing, "\n".join(differing)
    return ours


def _shown(broker: Any, shows: str) -> list[str] | None:  # noqa: ANN401  # of the two above
    lines = transcript(broker)
    return lines if shows in lines else None


def test_without_any_right(secured: list[Any]) -> None:
    lines = alike(secured, [], "METADATA .topics.name: absent")
    assert not [line for line in lines if line.endswith("UNKNOWN_TOPIC_OR_PARTITION")]


def test_with_rights_on_names_and_prefixes(secured: list[Any]) -> None:
    rules = [
        rule(TOPIC, "open", ALL, pattern=PREFIXED),
        rule(USERS_GROUP, "gr", READ, pattern=PREFIXED),
        rule(TXN, "*", WRITE),
    ]
    alike(secured, rules, "FIND_COORDINATOR .coordinators.error_code: NONE")


def test_a_denial_wins_and_describe_alone_shows(secured: list[Any]) -> None:
    rules = [
        rule(TOPIC, "open", WRITE, permission=DENY),
        rule(TOPIC, "closed", DESCRIBE, principal="User:*"),
        rule(CLUSTER, "kafka-cluster", DESCRIBE),
    ]
    alike(secured, rules, "DESCRIBE_ACLS .error_code: NONE")
