"""``tape group``: list, describe and delete consumer groups, and move their offsets."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from tickertape.base.errors import MisuseError
from tickertape.base.world import SystemClock
from tickertape.cli.cluster import Cluster, ClusterError, Place, client_options
from tickertape.cli.kafka_flags import bootstrap_option
from tickertape.cli.resets import require_inactive, scope, targets
from tickertape.cli.tables import output_option, show

OFFSETS_COLUMNS: Final = [
    "GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG",
    "CONSUMER-ID", "HOST", "CLIENT-ID",
]  # fmt: skip
MEMBERS_COLUMNS: Final = ["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS"]
STATE_COLUMNS: Final = ["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"]
RESET_COLUMNS: Final = ["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@click.group()
def group() -> None:
    """List, describe and delete consumer groups; move their offsets."""


@group.command("list")
@bootstrap_option
@client_options
@output_option
def list_(bootstrap: str, output: str, **client: Any) -> None:  # noqa: ANN401  # click's options by name
    """Every group, with its state."""
    found = [
        {"group": each.group_id, "state": state_name(each.state)}
        for each in Cluster(bootstrap, **client).groups()
    ]
    rows = [list(each.values()) for each in found]
    show(output, "group.list", {"groups": found}, (["GROUP", "STATE"], rows))


@group.command(short_help="Offsets and lag, members, or state of a group.")
@click.option("-g", "--group", "name", required=True)
@click.option("--members", "view", flag_value="members", help="Who is in it.")
@click.option("--state", "view", flag_value="state", help="Coordinator, strategy and state.")
@click.option("--offsets", "view", flag_value="offsets", default=True, help="The default.")
@bootstrap_option
@client_options
@output_option
def describe(name: str, view: str, bootstrap: str, output: str, **client: Any) -> None:  # noqa: ANN401  # click's options by name
    """Committed offsets and lag, or the members, or the state of a group."""
    rows = described(Cluster(bootstrap, **client), name, view)
    columns = {
        "members": MEMBERS_COLUMNS,
        "state": STATE_COLUMNS,
        "offsets": OFFSETS_COLUMNS,
    }[view]
    keys = [_key(column) for column in columns]
    document = {"group": name, view: [dict(zip(keys, row, strict=True)) for row in rows]}
    show(output, "group.describe", document, (columns, rows))


def reset_options(command: Decorated) -> Decorated:
    """Kafka's scenarios and scopes."""
    for option in (
        click.option("--execute", is_flag=True, help="Do it; without it the plan is shown."),
        click.option("--dry-run", is_flag=True, help="Show the plan (the default)."),
        click.option("--shift-by", type=int, metavar="N"),
        click.option("--by-duration", metavar="PnDTnHnMnS", help="So long ago."),
        click.option("--to-datetime", metavar="YYYY-MM-DDTHH:mm:SS.sss"),
        click.option("--to-offset", type=click.IntRange(0), metavar="N"),
        click.option("--to-current", is_flag=True),
        click.option("--to-latest", is_flag=True),
        click.option("--to-earliest", is_flag=True),
        click.option("--all-topics", is_flag=True, help="All that the group has committed."),
        click.option("-t", "--topic", "topics", multiple=True, metavar="TOPIC[:0,1]"),
    ):
        command = option(command)
    return command


@group.command("reset-offsets")
@click.option("-g", "--group", "name", required=True)
@reset_options
@bootstrap_option
@client_options
@output_option
def reset_offsets(name: str, bootstrap: str, output: str, **wish: Any) -> None:  # noqa: ANN401  # click's options by name
    """Move the committed offsets of a group without members.

    \b
    tape group reset-offsets -g g1 -t ticks --to-datetime 2026-11-20T09:00:00Z --execute
    """
    cluster = Cluster(bootstrap, wish.pop("files"), wish.pop("given"))
    plan = reset(cluster, name, wish)
    moved = [
        {"topic": topic, "partition": index, "new_offset": offset}
        for (topic, index), offset in plan.items()
    ]
    rows = [[name, *each.values()] for each in moved]
    document = {"group": name, "executed": wish["execute"], "partitions": moved}
    show(output, "group.reset-offsets", document, (RESET_COLUMNS, rows))
    if not wish["execute"]:
        click.echo("nothing was changed: --execute does it", err=True)


@group.command()
@click.option("-g", "--group", "names", multiple=True, required=True)
@bootstrap_option
@client_options
@output_option
def delete(names: tuple[str, ...], bootstrap: str, output: str, **client: Any) -> int:  # noqa: ANN401  # click's options by name
    """Delete groups without members, with their offsets."""
    cluster = Cluster(bootstrap, **client)
    outcomes = {}
    for name in names:
        try:
            cluster.delete_group(name)
        except ClusterError as error:
            click.echo(f"tape: {error}", err=True)
            outcomes[name] = "failed"
        else:
            outcomes[name] = "deleted"
    document = {"groups": [{"group": name, "outcome": what} for name, what in outcomes.items()]}
    rows = [[name, what] for name, what in outcomes.items()]
    show(output, "group.delete", document, (["GROUP", "OUTCOME"], rows))
    return 1 if "failed" in outcomes.values() else 0


# -- what Kafka's own tool shows too ---------------------------------------------------------


def state_name(state: Any) -> str:  # noqa: ANN401  # librdkafka's enum
    """A state as Kafka spells it."""
    return str(state.name).title().replace("_", "")


def described(cluster: Cluster, name: str, view: str) -> list[list[object]]:
    """The rows of one view of a group. MisuseError if nobody knows it."""
    found = cluster.group(name)
    if found is None:
        raise MisuseError(f"Consumer group '{name}' does not exist.")
    members = [] if found.members is None else found.members
    if view == "members":
        return [
            [name, each.member_id, each.host, each.client_id, len(_assigned(each))]
            for each in members
        ]
    if view == "state":
        node = found.coordinator
        where = f"{node.host}:{node.port} ({node.id})"
        return [[name, where, found.partition_assignor, state_name(found.state), len(members)]]
    return _offset_rows(cluster, name, members)


def _offset_rows(cluster: Cluster, name: str, members: list[Any]) -> list[list[object]]:
    owners: dict[Place, Any] = {place: each for each in members for place in _assigned(each)}
    committed = cluster.committed(name)
    places = sorted({*committed, *owners})
    ends = cluster.offsets(places, "latest")
    rows: list[list[object]] = []
    for place in places:
        at, owner = committed.get(place), owners.get(place)
        lag = None if at is None else ends[place] - at
        who = [None] * 3 if owner is None else [owner.member_id, owner.host, owner.client_id]
        rows.append([name, *place, at, ends[place], lag, *who])
    return rows


def _assigned(member: Any) -> list[Place]:  # noqa: ANN401  # librdkafka's class is untyped
    if member.assignment is None:
        return []
    return [(at.topic, at.partition) for at in member.assignment.topic_partitions]


def reset(cluster: Cluster, name: str, wish: dict[str, Any]) -> dict[Place, int]:
    """Plan, and with ``execute`` do it; returns the plan."""
    if wish["execute"] and wish["dry_run"]:
        raise click.UsageError("--execute and --dry-run: want one of the two")
    if bool(wish["topics"]) == wish["all_topics"]:
        raise click.UsageError("want --topic or --all-topics")
    require_inactive(cluster, name)
    places = scope(cluster, name, wish["topics"], every=wish["all_topics"])
    plan = targets(cluster, SystemClock(), name, places, wish)
    if wish["execute"] and plan:
        cluster.commit(name, plan)
    return plan


def _key(column: str) -> str:
    return column.lower().replace("-", "_").replace("#", "").replace(" (id)", "")
