"""Frame headers, against kio's, and which version of the header goes with which API."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kio.index import load_request_schema, load_response_schema
from kio.schema.index import api_key_map, schema_name_map
from kio.serial import entity_writer

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.frame import (
    RequestHeader,
    UnknownApiError,
    is_flexible,
    read_request_header,
    read_response_header,
    response_prefix,
    write_request_header,
)
from tickertape.wire.primitives import DecodeError
from tickertape.wire.versions import FLEXIBLE_FROM

I32 = st.integers(-(1 << 31), (1 << 31) - 1)
CLIENT = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VERSIONS = [
    (key, version) for key, name in api_key_map.items() for version in schema_name_map[name]
]


def kio_bytes(entity: Any) -> bytes:  # noqa: ANN401  # any kio entity
    out = io.BytesIO()
    entity_writer(type(entity))(out, entity)
    return out.getvalue()


@given(st.sampled_from(VERSIONS), I32, CLIENT)
def test_request_header_is_kios(api: tuple[int, int], correlation_id: int, client: str) -> None:
    key, version = api
    schema: Any = load_request_schema(key, version).__header_schema__
    theirs = schema(
        request_api_key=key,
        request_api_version=version,
        correlation_id=correlation_id,
        client_id=client,
    )
    ours = RequestHeader(key, version, correlation_id, client)
    data = write_request_header(ours)
    assert data == kio_bytes(theirs)
    assert read_request_header(memoryview(data + b"body")) == (ours, len(data))
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            read_request_header(memoryview(data)[:end])


@pytest.mark.parametrize(("key", "version"), VERSIONS)
def test_response_prefix_is_kios(key: int, version: int) -> None:
    schema: Any = load_response_schema(key, version).__header_schema__
    data = response_prefix(key, version, 77)
    assert data == kio_bytes(schema(correlation_id=77))
    assert read_response_header(data + b"body", key, version) == (77, len(data))
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            read_response_header(data[:end], key, version)


def test_every_api_of_kios_is_named_alike() -> None:
    ours = {int(key): key.name.lower() for key in ApiKey}
    assert {key: ours.get(key) for key in api_key_map} == {
        key: name.strip("_") for key, name in api_key_map.items()
    }


def test_api_versions_is_answered_without_tags_and_asked_with_them() -> None:
    assert is_flexible(ApiKey.API_VERSIONS, 3)
    assert response_prefix(ApiKey.API_VERSIONS, 3, 1) == b"\0\0\0\1"
    assert response_prefix(ApiKey.METADATA, 9, 1) == b"\0\0\0\1\0"


def test_header_tags_are_skipped() -> None:
    plain = write_request_header(RequestHeader(3, 9, 1, "c"))
    tagged = plain[:-1] + bytes.fromhex("01 05 02 6162")
    assert read_request_header(tagged + b"x") == (RequestHeader(3, 9, 1, "c"), len(tagged))


def test_an_api_that_kafka_lacks_is_told_apart() -> None:
    with pytest.raises(UnknownApiError, match="API key 500") as caught:
        read_request_header(write_request_header(RequestHeader(500, 0, 1, None)))
    assert caught.value.api_key == 500


def test_apis_that_are_never_flexible() -> None:
    assert ApiKey.SASL_HANDSHAKE not in FLEXIBLE_FROM
    assert ApiKey.OFFSET_DELETE not in FLEXIBLE_FROM
    assert not is_flexible(ApiKey.OFFSET_DELETE, 0)
