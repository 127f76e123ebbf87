"""Configs of single groups (KIP-848, KIP-1043): what an operator has set, durable in a file.

Owns ``group_configs.json``, replaced atomically. Only what means something for a group of the
consumer protocol is taken: its session timeout and heartbeat interval, within the broker's bounds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tickertape.base.errors import StorageError
from tickertape.base.ports import FileSystem
from tickertape.broker.state.consumer_group_types import ConsumerGroupLimits
from tickertape.broker.state.settings import BrokerSettings

FILE_NAME: Final = "group_configs.json"
SESSION_TIMEOUT: Final = "consumer.session.timeout.ms"
HEARTBEAT_INTERVAL: Final = "consumer.heartbeat.interval.ms"
_FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """One config of a group: what it is where nobody has set it, and its bounds."""

    synonym: str  # the broker's key that gives the default
    default: int
    least: int
    most: int
    why: str

    def bound(self, which: str) -> str:
        """The broker's key that gives the least ("min") or the most ("max")."""
        return self.synonym.replace("group.consumer.", f"group.consumer.{which}.")


class GroupConfigs:
    """See the module."""

    def __init__(self, fs: FileSystem, data_dir: str, settings: BrokerSettings) -> None:
        self._fs = fs
        self._path = f"{data_dir}/{FILE_NAME}"
        self._settings = settings
        self._groups: dict[str, dict[str, str]] = {}
        self.known: Final[Mapping[str, GroupConfig]] = {
            SESSION_TIMEOUT: GroupConfig(
                synonym="group.consumer.session.timeout.ms",
                default=settings.group_consumer_session_timeout_ms,
                least=settings.group_consumer_min_session_timeout_ms,
                most=settings.group_consumer_max_session_timeout_ms,
                why="After how much silence a member is thrown out.",
            ),
            HEARTBEAT_INTERVAL: GroupConfig(
                synonym="group.consumer.heartbeat.interval.ms",
                default=settings.group_consumer_heartbeat_interval_ms,
                least=settings.group_consumer_min_heartbeat_interval_ms,
                most=settings.group_consumer_max_heartbeat_interval_ms,
                why="How often members are told to send heartbeats.",
            ),
        }

    def load(self) -> None:
        """Read the file. StorageError if it is damaged."""
        content = self._fs.read(self._path)
        if content is None:
            return
        try:
            stored = json.loads(content)
            version, groups = stored["version"], stored["groups"]
            self._groups = {str(name): dict(configs) for name, configs in groups.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(f"{self._path} is damaged: {error!r}") from error
        if version != _FORMAT_VERSION:
            raise StorageError(
                f"{self._path}: got format version {version!r}; want {_FORMAT_VERSION}"
            )

    def names(self) -> list[str]:
        """The groups that have configs of their own."""
        return list(self._groups)

    def of(self, group_id: str) -> dict[str, str]:
        """What is set for the group; not to be changed."""
        return self._groups.get(group_id, {})

    def fault(self, configs: Mapping[str, str]) -> str | None:
        """Why a group cannot have these, in Kafka's words; None if it can."""
        for name, value in configs.items():
            known = self.known.get(name)
            if known is None:
                return f"Unknown group config name: {name}"
            try:
                number = int(value)
            except ValueError:
                return f"Invalid value {value} for configuration {name}: Not a number of type INT"
            if number < known.least:
                return f"{name} must be greater than or equal to {known.bound('min')}"
            if number > known.most:
                return f"{name} must be less than or equal to {known.bound('max')}"
        interval, session = self._in_force(configs)
        if session <= interval:
            return f"{SESSION_TIMEOUT} must be greater than {HEARTBEAT_INTERVAL}"
        return None

    def replace(self, group_id: str, configs: Mapping[str, str]) -> None:
        """Set what ``fault`` has nothing against, durably. StorageError: unchanged."""
        groups = {**self._groups, group_id: dict(configs)}
        if not configs:
            del groups[group_id]
        content = json.dumps({"version": _FORMAT_VERSION, "groups": groups}, indent=1)
        self._fs.write_atomic(self._path, content.encode())
        self._groups = groups

    def limits_of(self, group_id: str) -> ConsumerGroupLimits:
        """What binds the group."""
        interval, session = self._in_force(self.of(group_id))
        return ConsumerGroupLimits(
            session_timeout_ms=session,
            heartbeat_interval_ms=interval,
            size_max=self._settings.group_consumer_max_size,
            assignors=self._settings.group_consumer_assignors,
        )

    def _in_force(self, configs: Mapping[str, str]) -> tuple[int, int]:
        """Heartbeat interval and session timeout, never outside of the broker's bounds."""
        interval, session = (
            min(max(int(configs.get(name, known.default)), known.least), known.most)
            for name, known in ((each, self.known[each]) for each in _BOTH)
        )
        return interval, session


_BOTH: Final = (HEARTBEAT_INTERVAL, SESSION_TIMEOUT)
