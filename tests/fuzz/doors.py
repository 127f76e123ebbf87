"""The doors of a broker in memory: a batch, a stream of requests, a client that has to log in.

Afterwards the broker must be unharmed: what was acknowledged is there, also after a power cut, and
it takes more.
"""

from collections.abc import Iterator
from typing import Final

from tests.golden.test_frames import FRAMES, load, message_class
from tests.unit.broker.harness import Core, FakeCall, batch, fetched, produced, values_of

from tickertape.base.errors import PeerError
from tickertape.base.fakes import FakeClock, SeededRng
from tickertape.broker.api.dispatch import handle
from tickertape.broker.api.table import HANDLERS
from tickertape.broker.state.authentication import SUPPORTED, Gate, SaslSettings
from tickertape.broker.state.offset_records import Committed, OffsetChange, offset_record
from tickertape.broker.state.scram import Credential, Mechanism, nobodys_credential
from tickertape.broker.state.settings import BrokerSettings
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.frame import RequestHeader, write_request_header
from tickertape.wire.schema.sasl_authenticate import SaslAuthenticateRequest
from tickertape.wire.schema.sasl_handshake import SaslHandshakeRequest

TOPIC: Final = "t"
_FRAMES_MAX: Final = 12
_HOT: Final = {ApiKey.PRODUCE, ApiKey.FETCH, ApiKey.METADATA}


def fresh() -> Core:
    """Few partitions: what is looked for is a wrong state, not many right ones."""
    core = Core(BrokerSettings(partitions_max=4, offsets_topic_num_partitions=2))
    core.create(TOPIC)
    core.produce(TOPIC, batch("a", "b"))
    return core


def assert_unharmed(core: Core) -> None:
    """It takes a record, and has it after a power cut, with all that it had."""
    name = "still-alive"
    if core.broker.topics.get(name) is None:
        core.create(name)
    end = produced(core.produce(name, batch("z"))).base_offset
    core.sync()
    kept = {log.folder: log.end_offset for log in core.broker.topics.logs()}
    core.crash()
    assert {log.folder: log.end_offset for log in core.broker.topics.logs()} == kept
    assert values_of(fetched(core.fetch(name, end))) == ["z"]


def offer(core: Core, frame: bytes, call: FakeCall) -> bool:
    """Hand the frame over as the shell would; False if it would hang up."""
    try:
        handle(core.broker, memoryview(frame), call)
    except PeerError:
        assert not call.answered
        return False
    core.sync()
    core.clock.advance(min(core.broker.tick(), 1_000))
    core.broker.tick()
    return not any(kind == "close" for kind, _ in call.outcomes)


def pieces(data: bytes) -> Iterator[bytes]:
    """Frames, each behind two bytes of length."""
    at = 0
    for _ in range(_FRAMES_MAX):
        if len(data) - at < 2:
            return
        size = int.from_bytes(data[at : at + 2], "big")
        yield data[at + 2 : at + 2 + size]
        at += 2 + size


def joined(*frames: bytes) -> bytes:
    """What ``pieces`` takes apart."""
    return b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)


# A batch -----------------------------------------------------------------------------------------


def produce(batch_of: bytes) -> None:
    """Somebody's batch, with the right checksum: appended whole, or refused whole."""
    core = fresh()
    answer = core.produce(TOPIC, batch_of)
    if answer.outcomes[0][0] != "answer":
        return
    out = produced(answer)
    end = fetched(core.fetch(TOPIC, 0)).high_watermark
    assert (end == 2) == (out.error != 0 or out.base_offset < 2)
    assert_unharmed(core)


# Requests ----------------------------------------------------------------------------------------


def requests(data: bytes) -> None:
    """A connection's frames, one after the other."""
    core = fresh()
    for frame in pieces(data):
        if not offer(core, frame, FakeCall()):
            break
    assert_unharmed(core)


def frame_seeds() -> list[bytes]:
    """What real clients sent, and every request of the table in its newest version, as it comes."""
    seeds = [load(path)[2] for path in FRAMES]
    for key, route in HANDLERS.items():
        if key not in _HOT:
            body = message_class(ApiKey(key).name.lower())().encode(route.last)
            seeds.append(write_request_header(RequestHeader(key, route.last, 1, "f")) + body)
    return seeds


def request_seeds() -> list[bytes]:
    """Each frame alone, and what each client sent one after the other."""
    clients: dict[str, list[bytes]] = {}
    for path in FRAMES:
        clients.setdefault(path.name.partition(".")[0], []).append(load(path)[2])
    return [*map(joined, frame_seeds()), *(joined(*frames) for frames in clients.values())]


# Logging in --------------------------------------------------------------------------------------


class _Nobody:
    def credential(self, mechanism: Mechanism, name: str) -> Credential:
        return nobodys_credential(mechanism, name, b"secret")


def sasl(data: bytes) -> None:
    """A connection that has not authenticated never does, and leaves no trace."""
    core = fresh()
    users = {"alice": SeededRng(3).token(16).hex()}
    settings = SaslSettings(mechanisms=SUPPORTED, plain_users=users)
    gate = Gate(settings, _Nobody(), FakeClock(), SeededRng())
    before = fetched(core.fetch(TOPIC, 0)).high_watermark
    for frame in pieces(data):
        call = FakeCall()
        call.session.gate = gate
        if not offer(core, frame, call):
            break
    assert not gate.is_open
    assert {topic.name for topic in core.broker.topics} == {TOPIC}
    assert fetched(core.fetch(TOPIC, 0)).high_watermark == before
    assert_unharmed(core)


def sasl_seeds() -> list[bytes]:
    """Handshakes of both versions, and tokens that are nearly right."""
    tokens = [
        b"\0alice\0wrong",
        b"bob\0alice\0wrong",
        b"n,,n=alice,r=abcdef",
        b"c=biws,r=abcdefghi,p=AAAA",
    ]
    seeds = []
    for mechanism in SUPPORTED:
        for version in (0, 1):
            shake = SaslHandshakeRequest(mechanism=mechanism).encode(version)
            head = write_request_header(RequestHeader(ApiKey.SASL_HANDSHAKE, version, 1, "f"))
            asks = tokens if version == 0 else [_authenticate(token) for token in tokens]
            seeds.append(joined(head + shake, asks[2], asks[3]))
            seeds += [joined(head + shake, ask) for ask in asks]
    return seeds + [joined(frame) for frame in frame_seeds()]


def _authenticate(token: bytes) -> bytes:
    head = write_request_header(RequestHeader(ApiKey.SASL_AUTHENTICATE, 2, 2, "f"))
    return head + SaslAuthenticateRequest(auth_bytes=token).encode(2)


# The broker's own topics -------------------------------------------------------------------------


def stored_records() -> list[bytes]:
    """Keys and values of __consumer_offsets as targets.stored takes them."""
    change = OffsetChange("g", TOPIC, 0, Committed(5, 0, "m", 1_000))
    record = offset_record(change, 1_000)
    key = record.key or b""
    return [bytes([len(key)]) + key + (record.value or b"")]
