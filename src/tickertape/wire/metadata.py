"""Metadata (API 3), the first thing that every client asks; served as v0 to v12.

Kafka's fields as generated: MetadataRequest(topics: None for all, allow_auto_topic_creation, ...),
MetadataResponse(brokers, cluster_id, controller_id, topics). v0 has no null topics: there, an empty
list asks for all (``wants_all``).
"""

from tickertape.base.buffers import Buffer
from tickertape.wire.schema.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

__all__ = [
    "MetadataRequest",
    "MetadataRequestTopic",
    "MetadataResponse",
    "MetadataResponseBroker",
    "MetadataResponsePartition",
    "MetadataResponseTopic",
    "read_metadata_request",
    "read_metadata_response",
    "wants_all",
    "write_metadata_request",
    "write_metadata_response",
]


def wants_all(request: MetadataRequest, version: int) -> bool:
    """Whether the request asks for every topic."""
    return request.topics is None or (version == 0 and not request.topics)


def read_metadata_request(buf: Buffer, at: int, version: int) -> MetadataRequest:
    """The request that begins at ``at``. DecodeError if it is damaged."""
    return MetadataRequest.decode(buf, at, version)[0]


def write_metadata_request(version: int, request: MetadataRequest) -> bytes:
    """The request's bytes."""
    return request.encode(version)


def read_metadata_response(buf: Buffer, at: int, version: int) -> MetadataResponse:
    """The response that begins at ``at``. DecodeError if it is damaged."""
    return MetadataResponse.decode(buf, at, version)[0]


def write_metadata_response(version: int, response: MetadataResponse) -> bytes:
    """The response's bytes."""
    return response.encode(version)
