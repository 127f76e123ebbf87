"""Frames that real clients sent decode whole, say what the client was told, and encode the same."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from tickertape.wire import fetch, metadata, produce
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.batch import crc_ok, read_batch_header
from tickertape.wire.frame import read_request_header, write_request_header
from tickertape.wire.records import read_records
from tickertape.wire.schema.consumer_protocol import ConsumerProtocolSubscription
from tickertape.wire.schema.join_group import JoinGroupRequest

FRAMES = sorted((Path(__file__).parent / "frames").glob("*.hex"))
CLIENTS = {"librdkafka-2", "aiokafka-0", "kafka-python-3", "java-4"}


def load(path: Path) -> tuple[str, int, bytes]:
    *_, api, version, _ = path.name.split(".")
    return api, int(version[1:]), bytes.fromhex(path.read_text())


def of(api: str) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in FRAMES if load(path)[0] == api]


def message_class(api: str) -> Any:  # noqa: ANN401  # one of the generated classes
    module = importlib.import_module(f"tickertape.wire.schema.{api}")
    return getattr(module, "".join(word.capitalize() for word in api.split("_")) + "Request")


def test_the_frames_are_there() -> None:
    assert {path.name.split(".")[0] for path in FRAMES} == CLIENTS
    assert len({load(path)[0] for path in FRAMES}) == 13


@pytest.mark.parametrize("path", FRAMES, ids=lambda path: path.stem)
def test_frame_decodes_whole_and_encodes_the_same(path: Path) -> None:
    api, version, frame = load(path)
    header, at = read_request_header(memoryview(frame))
    assert ApiKey(header.api_key).name.lower() == api
    assert header.api_version == version
    assert header.client_id == "golden"
    if api == "produce":
        request = produce.read_produce_request(memoryview(frame), at, version)
        body = produce.write_produce_request(version, request)
    elif api == "fetch":
        body = fetch.write_fetch_request(version, fetch.read_fetch_request(frame, at, version))
    elif api == "metadata":
        ask = metadata.read_metadata_request(memoryview(frame), at, version)
        body = metadata.write_metadata_request(version, ask)
    else:
        message, end = message_class(api).decode(memoryview(frame), at, version)
        assert end == len(frame)
        body = message.encode(version)
    assert write_request_header(header) + body == frame


@pytest.mark.parametrize("path", of("produce"))
def test_produced_batches_hold_the_record_that_was_sent(path: Path) -> None:
    _, version, frame = load(path)
    _, at = read_request_header(frame)
    request = produce.read_produce_request(memoryview(frame), at, version)
    assert request.acks == -1
    ((topic, (partition,)),) = request.topics
    assert (topic, partition.index) == ("ticks", 0)
    batch = partition.records
    assert batch is not None
    header = read_batch_header(batch, 0)
    assert header.size == len(batch)
    assert crc_ok(batch, 0, header)
    assert (header.producer_id, header.base_sequence) == (9, 0)
    (record,) = read_records(batch, 0, header, bytes_max=1000)
    assert record.key == b"k"
    assert record.value is not None
    assert set(record.value) == set(b"v")


@pytest.mark.parametrize("path", of("join_group"))
def test_subscriptions_inside_join_group_are_read(path: Path) -> None:
    _, version, frame = load(path)
    _, at = read_request_header(frame)
    request, _ = JoinGroupRequest.decode(frame, at, version)
    assert (request.group_id, request.protocol_type) == ("g", "consumer")
    for protocol in request.protocols:
        metadata = protocol.metadata
        own = int.from_bytes(metadata[:2], "big")
        subscription, end = ConsumerProtocolSubscription.decode(metadata, 2, own)
        assert end == len(metadata)
        assert subscription.topics == ["ticks"]
