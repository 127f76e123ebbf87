"""Metadata (API 3), v0 to v12, by hand: every client's first question, and again every few minutes.

A partition with one replica, all that a broker alone has, is one ``pack``. v0 has no null topics:
there, an empty list asks for all (``wants_all``). Fields that a version lacks are left out when
writing and keep their default when reading. The messages are plain slotted classes, because six
dataclasses cost more to make at import than this whole module.

Source: MetadataRequest.json, MetadataResponse.json of Apache Kafka; KIP-430 (operations), KIP-516.
"""

from collections.abc import Callable
from struct import Struct, pack, unpack_from
from typing import Final
from uuid import UUID

from tickertape.base.buffers import Buffer
from tickertape.wire.message import Fields
from tickertape.wire.primitives import (
    BAD_BYTES,
    ZERO_UUID,
    DecodeError,
    read_compact_count,
    read_compact_nullable_count,
    read_compact_nullable_string,
    read_compact_string,
    read_count,
    read_nullable_count,
    read_nullable_string,
    read_string,
    read_uuid,
    short,
    skip_tags,
    write_compact_count,
    write_compact_nullable_count,
    write_compact_nullable_string,
    write_compact_string,
    write_count,
    write_nullable_count,
    write_nullable_string,
    write_string,
    write_uvarint,
)

NOT_ASKED: Final = -(1 << 31)
"""Kafka's value of authorised operations that nobody asked for."""

FLEXIBLE_FROM: Final = 9
_CONTROLLER_FROM: Final = 1  # and racks, internal flags, null topics in the request
_CLUSTER_ID_FROM: Final = 2
_THROTTLE_FROM: Final = 3
_AUTO_CREATE_FROM: Final = 4
_OFFLINE_FROM: Final = 5
_EPOCH_FROM: Final = 7
_OPERATIONS_FROM: Final = 8
_TOPIC_ID_FROM: Final = 10
_CLUSTER_OPERATIONS_LAST: Final = 10
_NULL_NAME_FROM: Final = 12

_I16: Final = Struct(">h")
_I32: Final = Struct(">i")
_BOOL: Final = Struct(">?")
_FLAGS_V8: Final = Struct(">???")
_FLAGS_V11: Final = Struct(">??")
_PARTITION_V0: Final = Struct(">hii")
_PARTITION_V7: Final = Struct(">hiii")
# One replica, in sync; none offline; no tags: the counts 2, 2, 1 are one more than what they count.
_ALONE_V9: Final = Struct(">hiiiBiBiBB")


class MetadataRequestTopic(Fields):
    """A topic by name, or with no name by id (v10 on)."""

    __slots__ = ("name", "topic_id")

    def __init__(self, name: str | None, topic_id: UUID = ZERO_UUID) -> None:
        self.name = name
        self.topic_id = topic_id


class MetadataRequest(Fields):
    """Which topics to tell of; None for all."""

    __slots__ = (
        "allow_auto_topic_creation",
        "include_cluster_authorized_operations",
        "include_topic_authorized_operations",
        "topics",
    )

    def __init__(
        self,
        topics: list[MetadataRequestTopic] | None,
        *,
        allow_auto_topic_creation: bool = True,
        include_cluster_authorized_operations: bool = False,
        include_topic_authorized_operations: bool = False,
    ) -> None:
        self.topics = topics
        self.allow_auto_topic_creation = allow_auto_topic_creation
        self.include_cluster_authorized_operations = include_cluster_authorized_operations
        self.include_topic_authorized_operations = include_topic_authorized_operations


class MetadataResponseBroker(Fields):
    """Where a broker listens."""

    __slots__ = ("host", "node_id", "port", "rack")

    def __init__(self, node_id: int, host: str, port: int, rack: str | None = None) -> None:
        self.node_id = node_id
        self.host = host
        self.port = port
        self.rack = rack


class MetadataResponsePartition(Fields):
    """Who leads and keeps a partition, by node ids; epoch -1 where the version has none."""

    __slots__ = (
        "error_code",
        "isr_nodes",
        "leader_epoch",
        "leader_id",
        "offline_replicas",
        "partition_index",
        "replica_nodes",
    )

    def __init__(  # noqa: PLR0913, PLR0917  # in the wire's order, made by the thousand
        self,
        error_code: int,
        partition_index: int,
        leader_id: int,
        leader_epoch: int = -1,
        replica_nodes: tuple[int, ...] = (),
        isr_nodes: tuple[int, ...] = (),
        offline_replicas: tuple[int, ...] = (),
    ) -> None:
        self.error_code = error_code
        self.partition_index = partition_index
        self.leader_id = leader_id
        self.leader_epoch = leader_epoch
        self.replica_nodes = replica_nodes
        self.isr_nodes = isr_nodes
        self.offline_replicas = offline_replicas


class MetadataResponseTopic(Fields):
    """A topic, or why there is none; the name is None only for an id that nobody knows (v12)."""

    __slots__ = (
        "error_code",
        "is_internal",
        "name",
        "partitions",
        "topic_authorized_operations",
        "topic_id",
    )

    def __init__(
        self,
        error_code: int,
        name: str | None,
        partitions: list[MetadataResponsePartition],
        *,
        topic_id: UUID = ZERO_UUID,
        is_internal: bool = False,
        topic_authorized_operations: int = NOT_ASKED,
    ) -> None:
        self.error_code = error_code
        self.name = name
        self.topic_id = topic_id
        self.is_internal = is_internal
        self.partitions = partitions
        self.topic_authorized_operations = topic_authorized_operations


class MetadataResponse(Fields):
    """The cluster as the answering broker sees it."""

    __slots__ = (
        "brokers",
        "cluster_authorized_operations",
        "cluster_id",
        "controller_id",
        "throttle_time_ms",
        "topics",
    )

    def __init__(
        self,
        brokers: list[MetadataResponseBroker],
        topics: list[MetadataResponseTopic],
        *,
        cluster_id: str | None = None,
        controller_id: int = -1,
        cluster_authorized_operations: int = NOT_ASKED,
        throttle_time_ms: int = 0,
    ) -> None:
        self.throttle_time_ms = throttle_time_ms
        self.brokers = brokers
        self.cluster_id = cluster_id
        self.controller_id = controller_id
        self.topics = topics
        self.cluster_authorized_operations = cluster_authorized_operations


def wants_all(request: MetadataRequest, version: int) -> bool:
    """Whether the request asks for every topic."""
    return request.topics is None or (version == 0 and not request.topics)


# Request -----------------------------------------------------------------------------------------


def read_metadata_request(buf: Buffer, at: int, version: int) -> MetadataRequest:
    """The request that begins at ``at``. DecodeError if it is damaged.

    Bytes left over are ignored, as Kafka does: librdkafka 2 asks for all topics from v9 on with a
    null of four bytes where one is due.
    """
    try:
        return _read_request(buf, at, version)
    except BAD_BYTES as error:
        raise short(buf, at, error) from None


def _read_request(buf: Buffer, at: int, version: int) -> MetadataRequest:
    topics, at = _read_wanted(buf, at, version)
    request = MetadataRequest(topics)
    if version > _CLUSTER_OPERATIONS_LAST:
        (
            request.allow_auto_topic_creation,
            request.include_topic_authorized_operations,
        ) = _FLAGS_V11.unpack_from(buf, at)
        at += 2
    elif version >= _OPERATIONS_FROM:
        (
            request.allow_auto_topic_creation,
            request.include_cluster_authorized_operations,
            request.include_topic_authorized_operations,
        ) = _FLAGS_V8.unpack_from(buf, at)
        at += 3
    elif version >= _AUTO_CREATE_FROM:
        (request.allow_auto_topic_creation,) = _BOOL.unpack_from(buf, at)
        at += 1
    if version >= FLEXIBLE_FROM:
        skip_tags(buf, at)
    return request


def _read_wanted(
    buf: Buffer, at: int, version: int
) -> tuple[list[MetadataRequestTopic] | None, int]:
    if version >= FLEXIBLE_FROM:
        count, at = read_compact_nullable_count(buf, at)
    elif version >= _CONTROLLER_FROM:
        count, at = read_nullable_count(buf, at)
    else:
        count, at = read_count(buf, at)
    if count < 0:
        return None, at
    topics = []
    for _ in range(count):
        topic_id = ZERO_UUID
        name: str | None
        if version >= _TOPIC_ID_FROM:
            topic_id, at = read_uuid(buf, at)
            name, at = read_compact_nullable_string(buf, at)
        elif version >= FLEXIBLE_FROM:
            name, at = read_compact_string(buf, at)
        else:
            name, at = read_string(buf, at)
        topics.append(MetadataRequestTopic(name, topic_id))
        if version >= FLEXIBLE_FROM:
            at = skip_tags(buf, at)
    return topics, at


def write_metadata_request(version: int, request: MetadataRequest) -> bytes:
    """The request's bytes. Fields that the version lacks are left out; there, null is empty."""
    out = bytearray()
    _write_wanted(out, request.topics, version)
    if version >= _AUTO_CREATE_FROM:
        out.append(request.allow_auto_topic_creation)
    if _OPERATIONS_FROM <= version <= _CLUSTER_OPERATIONS_LAST:
        out.append(request.include_cluster_authorized_operations)
    if version >= _OPERATIONS_FROM:
        out.append(request.include_topic_authorized_operations)
    if version >= FLEXIBLE_FROM:
        out.append(0)
    return bytes(out)


def _write_wanted(out: bytearray, topics: list[MetadataRequestTopic] | None, version: int) -> None:
    if version >= FLEXIBLE_FROM:
        write_compact_nullable_count(out, topics)
    elif version >= _CONTROLLER_FROM:
        write_nullable_count(out, topics)
    else:
        write_count(out, topics or [])
    for topic in topics or ():
        if version >= _TOPIC_ID_FROM:
            out += topic.topic_id.bytes
            write_compact_nullable_string(out, topic.name)
        elif version >= FLEXIBLE_FROM:
            write_compact_string(out, topic.name or "")
        else:
            write_string(out, topic.name or "")
        if version >= FLEXIBLE_FROM:
            out.append(0)


# Response ----------------------------------------------------------------------------------------


def write_metadata_response(version: int, response: MetadataResponse) -> bytes:
    """The response's bytes. Fields that the version lacks are left out; there, null is empty."""
    flexible = version >= FLEXIBLE_FROM
    out = bytearray()
    if version >= _THROTTLE_FROM:
        out += _I32.pack(response.throttle_time_ms)
    _write_brokers(out, response.brokers, version)
    if version >= _CLUSTER_ID_FROM:
        nullable_string = write_compact_nullable_string if flexible else write_nullable_string
        nullable_string(out, response.cluster_id)
    if version >= _CONTROLLER_FROM:
        out += _I32.pack(response.controller_id)
    _write_topics(out, response.topics, version)
    if _OPERATIONS_FROM <= version <= _CLUSTER_OPERATIONS_LAST:
        out += _I32.pack(response.cluster_authorized_operations)
    if flexible:
        out.append(0)
    return bytes(out)


def _write_brokers(out: bytearray, brokers: list[MetadataResponseBroker], version: int) -> None:
    flexible = version >= FLEXIBLE_FROM
    (write_compact_count if flexible else write_count)(out, brokers)
    for one in brokers:
        out += _I32.pack(one.node_id)
        (write_compact_string if flexible else write_string)(out, one.host)
        out += _I32.pack(one.port)
        if flexible:
            write_compact_nullable_string(out, one.rack)
            out.append(0)
        elif version >= _CONTROLLER_FROM:
            write_nullable_string(out, one.rack)


def _write_topics(out: bytearray, topics: list[MetadataResponseTopic], version: int) -> None:
    flexible = version >= FLEXIBLE_FROM
    count_of = write_compact_count if flexible else write_count
    count_of(out, topics)
    for one in topics:
        out += _I16.pack(one.error_code)
        if not flexible:
            write_string(out, one.name or "")
        elif version >= _NULL_NAME_FROM:
            write_compact_nullable_string(out, one.name)
        else:
            write_compact_string(out, one.name or "")
        if version >= _TOPIC_ID_FROM:
            out += one.topic_id.bytes
        if version >= _CONTROLLER_FROM:
            out.append(one.is_internal)
        count_of(out, one.partitions)
        if flexible:
            _write_partitions_v9(out, one.partitions)
        else:
            _write_partitions(out, one.partitions, version)
        if version >= _OPERATIONS_FROM:
            out += _I32.pack(one.topic_authorized_operations)
        if flexible:
            out.append(0)


def _write_partitions_v9(out: bytearray, partitions: list[MetadataResponsePartition]) -> None:
    alone = _ALONE_V9.pack
    for one in partitions:
        error, index, leader = one.error_code, one.partition_index, one.leader_id
        replicas, isr = one.replica_nodes, one.isr_nodes
        if len(replicas) == len(isr) == 1 and not one.offline_replicas:
            out += alone(error, index, leader, one.leader_epoch, 2, replicas[0], 2, isr[0], 1, 0)
            continue
        out += _PARTITION_V7.pack(error, index, leader, one.leader_epoch)
        for nodes in (replicas, isr, one.offline_replicas):
            write_uvarint(out, len(nodes) + 1)
            out += pack(f">{len(nodes)}i", *nodes)
        out.append(0)


def _write_partitions(
    out: bytearray, partitions: list[MetadataResponsePartition], version: int
) -> None:
    for one in partitions:
        numbers = [one.partition_index, one.leader_id]
        if version >= _EPOCH_FROM:
            numbers.append(one.leader_epoch)
        numbers += (len(one.replica_nodes), *one.replica_nodes, len(one.isr_nodes), *one.isr_nodes)
        if version >= _OFFLINE_FROM:
            numbers += (len(one.offline_replicas), *one.offline_replicas)
        out += pack(f">h{len(numbers)}i", one.error_code, *numbers)


def read_metadata_response(buf: Buffer, at: int, version: int) -> MetadataResponse:
    """The response that begins at ``at``. DecodeError if it is damaged or has bytes left over."""
    try:
        response, at = _read_response(buf, at, version)
    except BAD_BYTES as error:
        raise short(buf, at, error) from None
    if at != len(buf):
        raise DecodeError(f"metadata response ends at byte {at}, got {len(buf)} bytes")
    return response


def _read_response(buf: Buffer, at: int, version: int) -> tuple[MetadataResponse, int]:
    flexible = version >= FLEXIBLE_FROM
    response = MetadataResponse([], [])
    if version >= _THROTTLE_FROM:
        (response.throttle_time_ms,) = _I32.unpack_from(buf, at)
        at += 4
    response.brokers, at = _read_brokers(buf, at, version)
    if version >= _CLUSTER_ID_FROM:
        nullable_string = read_compact_nullable_string if flexible else read_nullable_string
        response.cluster_id, at = nullable_string(buf, at)
    if version >= _CONTROLLER_FROM:
        (response.controller_id,) = _I32.unpack_from(buf, at)
        at += 4
    response.topics, at = _read_topics(buf, at, version)
    if _OPERATIONS_FROM <= version <= _CLUSTER_OPERATIONS_LAST:
        (response.cluster_authorized_operations,) = _I32.unpack_from(buf, at)
        at += 4
    if flexible:
        at = skip_tags(buf, at)
    return response, at


def _read_brokers(buf: Buffer, at: int, version: int) -> tuple[list[MetadataResponseBroker], int]:
    flexible = version >= FLEXIBLE_FROM
    count, at = (read_compact_count if flexible else read_count)(buf, at)
    brokers = []
    for _ in range(count):
        (node_id,) = _I32.unpack_from(buf, at)
        host, at = (read_compact_string if flexible else read_string)(buf, at + 4)
        (port,) = _I32.unpack_from(buf, at)
        at += 4
        rack = None
        if flexible:
            rack, at = read_compact_nullable_string(buf, at)
            at = skip_tags(buf, at)
        elif version >= _CONTROLLER_FROM:
            rack, at = read_nullable_string(buf, at)
        brokers.append(MetadataResponseBroker(node_id, host, port, rack))
    return brokers, at


def _read_topics(buf: Buffer, at: int, version: int) -> tuple[list[MetadataResponseTopic], int]:
    flexible = version >= FLEXIBLE_FROM
    string: Callable[[Buffer, int], tuple[str | None, int]] = read_string
    if version >= _NULL_NAME_FROM:
        string = read_compact_nullable_string
    elif flexible:
        string = read_compact_string
    topic_count, at = (read_compact_count if flexible else read_count)(buf, at)
    topics = []
    for _ in range(topic_count):
        (error,) = _I16.unpack_from(buf, at)
        name, at = string(buf, at + 2)
        one = MetadataResponseTopic(error, name, [])
        if version >= _TOPIC_ID_FROM:
            one.topic_id, at = read_uuid(buf, at)
        if version >= _CONTROLLER_FROM:
            (one.is_internal,) = _BOOL.unpack_from(buf, at)
            at += 1
        one.partitions, at = _read_partitions(buf, at, version)
        if version >= _OPERATIONS_FROM:
            (one.topic_authorized_operations,) = _I32.unpack_from(buf, at)
            at += 4
        if flexible:
            at = skip_tags(buf, at)
        topics.append(one)
    return topics, at


def _read_partitions(
    buf: Buffer, at: int, version: int
) -> tuple[list[MetadataResponsePartition], int]:
    flexible = version >= FLEXIBLE_FROM
    count_of = read_compact_count if flexible else read_count
    form = _PARTITION_V7 if version >= _EPOCH_FROM else _PARTITION_V0
    count, at = count_of(buf, at)
    partitions = []
    for _ in range(count):
        one = MetadataResponsePartition(*form.unpack_from(buf, at))
        nodes, at = count_of(buf, at + form.size)
        one.replica_nodes = unpack_from(f">{nodes}i", buf, at)
        nodes, at = count_of(buf, at + 4 * nodes)
        one.isr_nodes = unpack_from(f">{nodes}i", buf, at)
        at += 4 * nodes
        if version >= _OFFLINE_FROM:
            nodes, at = count_of(buf, at)
            one.offline_replicas = unpack_from(f">{nodes}i", buf, at)
            at += 4 * nodes
        if flexible:
            at = skip_tags(buf, at)
        partitions.append(one)
    return partitions, at
