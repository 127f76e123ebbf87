"""Asks a running broker how it is, over the wire, as any client would.

First ApiVersions, then Metadata of all topics; nothing is created.
"""

import socket
from dataclasses import dataclass
from typing import Final

from tickertape.base.errors import PeerError
from tickertape.base.ports import Clock
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.frame import RequestHeader, response_prefix, write_request_header
from tickertape.wire.metadata import (
    MetadataRequest,
    read_metadata_response,
    write_metadata_request,
)
from tickertape.wire.schema.api_versions import ApiVersionsRequest, ApiVersionsResponse

_ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
_METADATA_VERSION: Final = 9
_DESCRIBE: Final = 1 << 8  # AclOperation.DESCRIBE; of the cluster: whoever has it looks after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the broker said. ``sees_all``: it may be asked of every topic, so the counts are all."""

    cluster_id: str | None
    node_id: int
    apis: int
    topics: int
    partitions: int
    sees_all: bool
    round_trip_ms: int


def probe(bootstrap: str, clock: Clock, timeout_s: float = 5.0) -> Health:
    """Connect to ``host:port`` and ask. PeerError if nobody answers, or nonsense comes back."""
    host, _, port = bootstrap.rpartition(":")
    began_ms = clock.monotonic_ms()
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout_s) as sock:
            answer = _ask(sock, ApiKey.API_VERSIONS, 0, ApiVersionsRequest().encode(0))
            versions, _ = ApiVersionsResponse.decode(answer, 0, 0)
            question = MetadataRequest(
                topics=None,
                allow_auto_topic_creation=False,
                include_cluster_authorized_operations=True,
            )
            body = write_metadata_request(_METADATA_VERSION, question)
            answer = _ask(sock, ApiKey.METADATA, _METADATA_VERSION, body)
            metadata = read_metadata_response(answer, 0, _METADATA_VERSION)
    except OSError as error:
        raise PeerError(f"{bootstrap} does not answer: {error}") from error
    return Health(
        cluster_id=metadata.cluster_id,
        node_id=metadata.controller_id,
        apis=len(versions.api_keys),
        topics=len(metadata.topics),
        partitions=sum(len(topic.partitions) for topic in metadata.topics),
        sees_all=bool(metadata.cluster_authorized_operations & _DESCRIBE),
        round_trip_ms=clock.monotonic_ms() - began_ms,
    )


def _ask(sock: socket.socket, key: ApiKey, version: int, body: bytes) -> memoryview:
    request = write_request_header(RequestHeader(key, version, int(key), "tape-status")) + body
    sock.sendall(len(request).to_bytes(4, "big") + request)
    size = int.from_bytes(_receive(sock, 4), "big")
    prefix = response_prefix(key, version, int(key))
    if not len(prefix) <= size <= _ANSWER_BYTES_MAX:
        raise PeerError(f"got an answer of {size} bytes, want {len(prefix)} to {_ANSWER_BYTES_MAX}")
    answer = _receive(sock, size)
    if answer[: len(prefix)] != prefix:
        raise PeerError("got an answer to something else, want one from a Kafka broker")
    return memoryview(answer)[len(prefix) :]


def _receive(sock: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = sock.recv(min(size - len(received), 1 << 20))
        if not chunk:
            raise PeerError(f"connection closed after {len(received)} of {size} bytes")
        received += chunk
    return bytes(received)
