"""Small text files of a partition folder, in Kafka's formats.

``log-start-offset-checkpoint`` and ``recovery-point-offset-checkpoint`` have the format of Kafka's
files of that name, but lie in each partition's folder and hold that partition only.
``partition.metadata`` binds the folder to a topic id.
"""

import base64
import binascii
from typing import Final
from uuid import UUID

_VERSION: Final = "0"


def write_offset(partition: str, offset: int) -> bytes:
    """``partition`` is the folder's name, ``<topic>-<partition>``."""
    topic, _, number = partition.rpartition("-")
    return f"{_VERSION}\n1\n{topic} {number} {offset}\n".encode()


def read_offset(stored: bytes) -> int | None:
    """The offset, None if the text is damaged."""
    try:
        version, count, line = stored.decode().splitlines()
        _, _, offset = line.split(" ")
        number = int(offset)
    except ValueError:
        return None
    return number if version == _VERSION and count == "1" and number >= 0 else None


def write_topic_id(topic_id: UUID) -> bytes:
    """Kafka's ``partition.metadata``; the id as Kafka's Uuid prints it."""
    return f"version: 0\ntopic_id: {uuid_text(topic_id)}".encode()


def read_topic_id(stored: bytes) -> UUID | None:
    """The topic id, None if the text is damaged."""
    try:
        version, topic_id = stored.decode().splitlines()
        text = topic_id.removeprefix("topic_id: ")
        if version != "version: 0" or text == topic_id or len(text) != 22:
            return None
        return UUID(bytes=base64.urlsafe_b64decode(text + "=="))
    except (ValueError, binascii.Error):
        return None


def uuid_text(topic_id: UUID) -> str:
    """URL-safe base64 without padding (Kafka: Uuid.toString)."""
    return base64.urlsafe_b64encode(topic_id.bytes).decode().rstrip("=")
