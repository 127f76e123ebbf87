"""Names of everything the sink writes: objects as Confluent's connector names them.

Manifests and spilled intents live under ``_tickertape/``, outside ``topics.dir``, because a restore
that mirrors the layout fails on any name it does not know.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.connect.s3.layout import Layout

ROOT = "_tickertape/v1"


@dataclass(frozen=True, slots=True)
class ObjectName:
    """The parts of an object's key; ``first`` is the offset of the first record in the file."""

    topic: TopicName
    partition: PartitionIndex
    directory: str
    first: int


def object_key(layout: Layout, tp: TopicPartition, directory: str, first: int) -> str:
    """``[topics.dir/]<topic>/<directory>/<topic>+<partition>+<first, zero padded><suffix>``."""
    slash, plus = layout.directory_delim, layout.file_delim
    name = f"{tp.topic}{plus}{tp.partition}{plus}{first:0{layout.pad_width}d}{layout.suffix}"
    parts = (layout.topics_dir, tp.topic, directory, name)
    return slash.join(parts if layout.topics_dir else parts[1:])


def topic_prefix(layout: Layout, topic: str) -> str:
    """The prefix of every object of a topic, delimiter included."""
    slash = layout.directory_delim
    return f"{layout.topics_dir}{slash}{topic}{slash}" if layout.topics_dir else f"{topic}{slash}"


def parse_object_key(layout: Layout, key: str) -> ObjectName | None:
    """The inverse of ``object_key``; None if this layout never makes such a key."""
    slash, plus = layout.directory_delim, layout.file_delim
    if layout.topics_dir:
        if not key.startswith(layout.topics_dir + slash):
            return None
        key = key[len(layout.topics_dir + slash) :]
    topic, _, rest = key.partition(slash)
    directory, _, file = rest.rpartition(slash)
    stem = f"{topic}{plus}"
    if not (topic and directory and file.startswith(stem) and file.endswith(layout.suffix)):
        return None
    numbers = file[len(stem) : len(file) - len(layout.suffix)]
    pattern = rf"(0|[1-9][0-9]*){re.escape(plus)}([0-9]{{{max(layout.pad_width, 1)},}})"
    match = re.fullmatch(pattern, numbers)
    if match is None:
        return None
    partition, first = int(match[1]), int(match[2])
    if f"{first:0{layout.pad_width}d}" != match[2]:
        return None
    return ObjectName(TopicName(topic), PartitionIndex(partition), directory, first)


def manifest_prefix(connector: str, tp: TopicPartition | None = None) -> str:
    """Where a connector's manifests are, or one partition's. Ends in a slash."""
    prefix = f"{ROOT}/manifest/{quote(connector, safe='')}/"
    return prefix if tp is None else f"{prefix}{tp.topic}/{tp.partition}/"


def manifest_key(connector: str, tp: TopicPartition, start: int) -> str:
    """One manifest per flush; keys of one partition sort by start offset."""
    return f"{manifest_prefix(connector, tp)}{start:020d}.json"


def parse_manifest_key(key: str) -> tuple[str, TopicPartition, int] | None:
    """(connector, partition, start) of a manifest's key, or None if it is none."""
    match = re.fullmatch(rf"{ROOT}/manifest/([^/]+)/([^/]+)/([0-9]+)/([0-9]{{20}})\.json", key)
    if match is None:
        return None
    tp = TopicPartition(TopicName(match[2]), PartitionIndex(int(match[3])))
    return unquote(match[1]), tp, int(match[4])


def intent_key(connector: str, tp: TopicPartition, start: int, sha256: str) -> str:
    """Where an intent goes that is too long for a commit's metadata.

    The digest is in the name, so an abandoned intent of the same start is never in the way.
    """
    folder = f"{ROOT}/intent/{quote(connector, safe='')}/{tp.topic}/{tp.partition}"
    return f"{folder}/{start:020d}-{sha256[:16]}.json"
