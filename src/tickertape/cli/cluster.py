"""What the admin commands ask of a cluster, on librdkafka's admin client; answers as plain values.

Every failure is a ClusterError: one line with what was asked and what the cluster said.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka import admin as _typed
from confluent_kafka.cimpl import NewPartitions, NewTopic

from tickertape.base.errors import TapeError
from tickertape.base.world import SystemClock
from tickertape.cli.kafka_flags import client_properties, reached_admin

_kafka: Any = _typed  # most of its classes are not exported to type checkers
_PATIENCE_S: Final = 30.0
_REACH_S: Final = 10.0  # for the first question: is there a cluster at all
_PAUSE_S: Final = 0.2
_STARTING: Final = frozenset(
    {"COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS"}
)
_TOPIC_SOURCE: Final = 1  # the topic itself says so
SOURCES: Final = {
    1: "DYNAMIC_TOPIC_CONFIG",
    2: "DYNAMIC_BROKER_CONFIG",
    3: "DYNAMIC_DEFAULT_BROKER_CONFIG",
    4: "STATIC_BROKER_CONFIG",
    5: "DEFAULT_CONFIG",
}
"""Where a config's value comes from, by Kafka's names."""

Answer = TypeVar("Answer")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Place = tuple[str, int]


class ClusterError(TapeError):
    """The cluster refused, or never answered. ``code`` is Kafka's name of the error."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Config:
    """One config of a topic or broker."""

    name: str
    value: str | None
    source: int
    sensitive: bool
    synonyms: tuple[tuple[str, str | None, int], ...]

    @property
    def is_own(self) -> bool:
        """Set on the topic itself."""
        return self.source == _TOPIC_SOURCE


def client_options(command: Decorated) -> Decorated:
    """``--command-config FILE`` and ``-X key=value``, for all admin commands."""
    command = click.option("-X", "given", multiple=True, metavar="KEY=VALUE")(command)
    return click.option(
        "--command-config", "files", multiple=True, type=click.Path(path_type=Path)
    )(command)


class Cluster:
    """See the module."""

    def __init__(self, bootstrap: str, files: Sequence[Path], given: Sequence[str]) -> None:
        self._admin = reached_admin(bootstrap, client_properties(files, given, "-X"))

    # -- topics ------------------------------------------------------------------------------

    def topic_names(self) -> list[str]:
        """All topics, sorted."""
        try:
            return sorted(self._admin.list_topics(timeout=_REACH_S).topics)
        except KafkaException as caught:
            raise _explained("list topics", caught) from caught

    def topics(self, names: Iterable[str]) -> list[Any]:
        """Descriptions of these topics, of a class of librdkafka."""
        wanted = list(names)
        if not wanted:
            return []
        futures = self._admin.describe_topics(TopicCollection(wanted), request_timeout=_PATIENCE_S)
        return [_settled(f"topic {name}", futures[name]) for name in wanted]

    def create_topic(
        self, name: str, partitions: int, replicas: int, configs: Mapping[str, str]
    ) -> None:
        """Create one topic; -1 leaves a number to the broker."""
        topic = NewTopic(name, partitions, replicas, config=dict(configs))
        _settled(f"topic {name}", self._admin.create_topics([topic])[name])

    def delete_topic(self, name: str) -> None:
        """Delete one topic."""
        _settled(f"topic {name}", self._admin.delete_topics([name])[name])

    def grow_topic(self, name: str, partitions: int) -> None:
        """Give it so many partitions in all."""
        added = self._admin.create_partitions([NewPartitions(name, partitions)])
        _settled(f"topic {name}", added[name])

    def configs(self, kind: str, name: str) -> list[Config]:
        """All configs of ``kind`` "topic" or "broker", by name."""
        resource = _kafka.ConfigResource(_kafka.ResourceType[kind.upper()], name)
        (future,) = self._admin.describe_configs([resource]).values()
        found = _settled(f"{kind} {name}", future)
        return [
            Config(
                entry.name,
                entry.value,
                entry.source,
                entry.is_sensitive,
                tuple((each.name, each.value, each.source) for each in entry.synonyms.values()),
            )
            for _, entry in sorted(found.items())
        ]

    def alter_configs(
        self, kind: str, name: str, changes: Sequence[tuple[str, str, str | None]]
    ) -> None:
        """``changes`` are (SET | DELETE | APPEND | SUBTRACT, config, value)."""
        entries = [
            _kafka.ConfigEntry(
                key, value, incremental_operation=_kafka.AlterConfigOpType[operation]
            )
            for operation, key, value in changes
        ]
        resource = _kafka.ConfigResource(
            _kafka.ResourceType[kind.upper()], name, incremental_configs=entries
        )
        (future,) = self._admin.incremental_alter_configs([resource]).values()
        _settled(f"{kind} {name}", future)

    def offsets(
        self, places: Iterable[Place], at_time: str | int, *, committed: bool = False
    ) -> dict[Place, int]:
        """Of each partition: "earliest", "latest", "max_timestamp", or the first at or after ms.

        -1 where there is no such record. ``committed``: latest is the last stable offset.
        """
        specs = _kafka.OffsetSpec
        if isinstance(at_time, int):
            spec = specs.for_timestamp(at_time)
        else:
            spec = getattr(specs, at_time)()
        asked = {TopicPartition(topic, index): spec for topic, index in places}
        if not asked:
            return {}
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        futures = self._admin.list_offsets(
            asked, isolation_level=level, request_timeout=_PATIENCE_S
        )
        return {
            (at.topic, at.partition): _settled(f"{at.topic}-{at.partition}", future).offset
            for at, future in futures.items()
        }

    def delete_records(self, before: Mapping[Place, int]) -> dict[Place, int | ClusterError]:
        """Delete the records before an offset: each partition's new first offset, or why not."""
        places = [TopicPartition(*place, offset) for place, offset in before.items()]
        if not places:
            return {}
        outcomes: dict[Place, int | ClusterError] = {}
        for at, future in self._admin.delete_records(places).items():
            try:
                deleted = _settled(f"{at.topic}-{at.partition}", future)
            except ClusterError as error:
                outcomes[at.topic, at.partition] = error
            else:
                outcomes[at.topic, at.partition] = deleted.low_watermark
        return outcomes

    # -- groups ------------------------------------------------------------------------------

    def groups(self) -> list[Any]:
        """All groups, sorted; of a class of librdkafka."""
        listed = _settled("list groups", self._admin.list_consumer_groups())
        if listed.errors:
            raise _explained("list groups", listed.errors[0])
        return sorted(listed.valid, key=lambda group: str(group.group_id))

    def group(self, group_id: str) -> Any:  # noqa: ANN401  # librdkafka's class is untyped
        """One group, of a class of librdkafka; None if nobody knows it.

        A coordinator that is just starting, as at a cluster's first group, is asked again.
        """
        clock = SystemClock()
        until_ms = clock.monotonic_ms() + round(_REACH_S * 1000)
        while True:
            asked = self._admin.describe_consumer_groups([group_id], request_timeout=_PATIENCE_S)
            try:
                found = _settled(f"group {group_id}", asked[group_id])
            except ClusterError as error:
                if error.code == "GROUP_ID_NOT_FOUND":
                    return None
                if error.code not in _STARTING or clock.monotonic_ms() >= until_ms:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return None if found.state.name == "DEAD" else found

    def committed(self, group_id: str) -> dict[Place, int]:
        """All offsets that the group has committed."""
        asked = [ConsumerGroupTopicPartitions(group_id)]
        (future,) = self._admin.list_consumer_group_offsets(asked).values()
        found = _settled(f"group {group_id}", future).topic_partitions
        return {(at.topic, at.partition): at.offset for at in found}

    def commit(self, group_id: str, offsets: Mapping[Place, int]) -> None:
        """Store offsets for a group without members."""
        places = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        asked = [ConsumerGroupTopicPartitions(group_id, places)]
        (future,) = self._admin.alter_consumer_group_offsets(asked).values()
        for at in _settled(f"group {group_id}", future).topic_partitions:
            if at.error is not None:
                raise _explained(f"group {group_id}: {at.topic}-{at.partition}", at.error)

    def delete_group(self, group_id: str) -> None:
        """Delete a group without members."""
        _settled(f"group {group_id}", self._admin.delete_consumer_groups([group_id])[group_id])


def _settled(what: str, future: "Future[Answer]") -> Answer:
    try:
        return future.result(_PATIENCE_S)
    except KafkaException as caught:
        raise _explained(what, caught) from caught
    except TimeoutError as caught:
        raise ClusterError(f"{what}: no answer in {_PATIENCE_S:g} s", "_TIMED_OUT") from caught


def _explained(what: str, caught: Exception) -> ClusterError:
    error = caught if isinstance(caught, KafkaError) else caught.args[0]
    return ClusterError(f"{what}: {error.str()}", error.name())
