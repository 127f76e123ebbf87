"""Where ``reset-offsets`` moves a group: Kafka's scenarios, on a Cluster."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from tickertape.base.errors import MisuseError
from tickertape.base.ports import Clock
from tickertape.cli.cluster import Cluster, Place

_DURATION: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?"
    r"(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_MS: Final = {"days": 86_400_000, "hours": 3_600_000, "minutes": 60_000, "seconds": 1_000}
SCENARIOS: Final = (
    "to_earliest",
    "to_latest",
    "to_current",
    "to_offset",
    "to_datetime",
    "by_duration",
    "shift_by",
)


def scope(cluster: Cluster, group: str, topics: Sequence[str], *, every: bool) -> list[Place]:
    """The partitions meant by ``t`` or ``t:0,1``; or all that the group has committed."""
    if every:
        return sorted(cluster.committed(group))
    places: list[Place] = []
    for given in topics:
        name, colon, indexes = given.partition(":")
        if colon:
            if not re.fullmatch(r"\d+(,\d+)*", indexes):
                raise click.UsageError(f"--topic {given!r}: want TOPIC or TOPIC:0,1")
            places += [(name, int(index)) for index in indexes.split(",")]
        else:
            (described,) = cluster.topics([name])
            places += [(name, part.id) for part in described.partitions]
    return places


def require_inactive(cluster: Cluster, group: str) -> None:
    """MisuseError while the group has members: they would go on from where they are."""
    found = cluster.group(group)
    state = "EMPTY" if found is None else found.state.name  # offsets may be set before a group is
    if state != "EMPTY":
        raise MisuseError(
            f"Assignments can only be reset if the group '{group}' is inactive, "
            f"but the current state is {state.title().replace('_', '')}."
        )


def targets(
    cluster: Cluster, clock: Clock, group: str, places: Iterable[Place], wish: Mapping[str, Any]
) -> dict[Place, int]:
    """The new offset of each partition; numbers are kept within what the log has."""
    wanted = list(places)
    given = [name for name in SCENARIOS if wish[name] not in (None, False)]
    if len(given) != 1:
        flags = ", ".join("--" + name.replace("_", "-") for name in SCENARIOS)
        raise click.UsageError(f"want one of {flags}")
    (scenario,) = given
    first = cluster.offsets(wanted, "earliest")
    end = cluster.offsets(wanted, "latest")
    if scenario == "to_earliest":
        return first
    if scenario == "to_latest":
        return end
    if scenario in {"to_datetime", "by_duration"}:
        found = cluster.offsets(wanted, _time_ms(scenario, wish[scenario], clock))
        return {place: end[place] if at < 0 else at for place, at in found.items()}
    aims = _aims(cluster, group, wanted, scenario, wish[scenario])
    return {
        place: min(max(aims.get(place, end[place]), first[place]), end[place]) for place in wanted
    }


def _aims(
    cluster: Cluster, group: str, places: Sequence[Place], scenario: str, value: int
) -> dict[Place, int]:
    if scenario == "to_offset":
        return dict.fromkeys(places, value)
    committed = cluster.committed(group)
    if scenario == "to_current":
        return committed
    absent = [f"{topic}-{index}" for topic, index in places if (topic, index) not in committed]
    if absent:
        raise MisuseError(f"--shift-by: no committed offset of {', '.join(absent)} to shift")
    return {place: committed[place] + value for place in places}


def _time_ms(scenario: str, text: str, clock: Clock) -> int:
    if scenario == "by_duration":
        return clock.now_ms() - duration_ms(text)
    return datetime_ms(text)


def duration_ms(text: str) -> int:
    """``PnDTnHnMnS`` in ms."""
    match = _DURATION.fullmatch(text)
    parts = {name: number for name, number in match.groupdict().items() if number} if match else {}
    if not parts:
        raise click.UsageError(f"--by-duration {text!r}: want PnDTnHnMnS, as in P1DT2H")
    return round(sum(float(number) * _MS[name] for name, number in parts.items()))


def datetime_ms(text: str, flag: str = "--to-datetime") -> int:
    """``YYYY-MM-DDTHH:mm:SS.sss`` with an optional offset, else UTC, in ms since 1970."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(
            f"{flag} {text!r}: want YYYY-MM-DDTHH:mm:SS.sss, perhaps with +hh:mm or Z"
        ) from error
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return round(parsed.timestamp() * 1000)
