"""Request and response headers: what comes between a frame's 4-byte size and the message.

Header v2 (a tag buffer after the client id) goes with the flexible versions of each API; the client
id itself is never compact. The response of ApiVersions always has header v0, because a client that
has yet to learn our versions must be able to read it (KIP-511).
"""

from dataclasses import dataclass
from struct import Struct

from tickertape.base.buffers import Buffer
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.primitives import (
    DecodeError,
    read_nullable_string,
    skip_tags,
    write_nullable_string,
)
from tickertape.wire.versions import FLEXIBLE_FROM

_FIXED = Struct(">hhi")
_CORRELATION = Struct(">i")
_FLEXIBLE_FROM: dict[int, int] = {int(key): first for key, first in FLEXIBLE_FROM.items()}
_KNOWN: frozenset[int] = frozenset(int(key) for key in ApiKey)
_API_VERSIONS = int(ApiKey.API_VERSIONS)


class UnknownApiError(DecodeError):
    """The request names an API that Kafka does not have."""

    def __init__(self, api_key: int) -> None:
        super().__init__(f"got API key {api_key}, want one of Kafka's")
        self.api_key = api_key


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """Who asks for what, and the number to put on the answer."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None


def is_flexible(api_key: int, api_version: int) -> bool:
    """Whether this version of the API has tag buffers and compact lengths."""
    first = _FLEXIBLE_FROM.get(api_key)
    return first is not None and api_version >= first


def read_request_header(frame: Buffer) -> tuple[RequestHeader, int]:
    """The header of a frame (its size already taken off), and where the message begins.

    DecodeError if it is cut short; UnknownApiError if the API key is none of Kafka's.
    """
    if len(frame) < _FIXED.size:
        raise DecodeError(f"request header wants 8 bytes and a client id, got {len(frame)} bytes")
    api_key, api_version, correlation_id = _FIXED.unpack_from(frame)
    if api_key not in _KNOWN:
        raise UnknownApiError(api_key)
    client_id, at = read_nullable_string(frame, _FIXED.size)
    if is_flexible(api_key, api_version):
        at = skip_tags(frame, at)
    return RequestHeader(api_key, api_version, correlation_id, client_id), at


def write_request_header(header: RequestHeader) -> bytes:
    """A request header, v1 or v2 as its API and version want."""
    out = bytearray(_FIXED.pack(header.api_key, header.api_version, header.correlation_id))
    write_nullable_string(out, header.client_id)
    if is_flexible(header.api_key, header.api_version):
        out.append(0)
    return bytes(out)


def response_prefix(api_key: int, api_version: int, correlation_id: int) -> bytes:
    """A response header: v1 (with an empty tag buffer) for flexible versions, else v0."""
    prefix = _CORRELATION.pack(correlation_id)
    if api_key != _API_VERSIONS and is_flexible(api_key, api_version):
        return prefix + b"\0"
    return prefix


def read_response_header(frame: Buffer, api_key: int, api_version: int) -> tuple[int, int]:
    """The correlation id of a response frame, and where the message begins."""
    if len(frame) < _CORRELATION.size:
        raise DecodeError(f"response header wants 4 bytes, got {len(frame)}")
    (correlation_id,) = _CORRELATION.unpack_from(frame)
    at = _CORRELATION.size
    if api_key != _API_VERSIONS and is_flexible(api_key, api_version):
        at = skip_tags(frame, at)
    return correlation_id, at
