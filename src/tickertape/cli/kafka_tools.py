"""Kafka's own command lines: kafka-topics, kafka-consumer-groups and kafka-configs.

They take the flags of Kafka's scripts and print what those print. The scripts in ``bin/`` call
them; people are better served by ``tape topic`` and ``tape group``.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from tickertape.base.errors import MisuseError
from tickertape.cli.cluster import SOURCES, Cluster, ClusterError, Config, client_options
from tickertape.cli.group import (
    MEMBERS_COLUMNS,
    OFFSETS_COLUMNS,
    RESET_COLUMNS,
    STATE_COLUMNS,
    described,
    reset,
    reset_options,
)
from tickertape.cli.kafka_flags import bootstrap_option, pairs
from tickertape.cli.tables import table

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _zookeeper(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """The flag of tutorials from before Kafka 3."""
    if value is not None:
        raise click.BadParameter("none is needed, use --bootstrap-server", ctx, param)


def _flags_of_all(command: Decorated) -> Decorated:
    """What every one of Kafka's tools takes."""
    command = click.option(
        "--zookeeper", hidden=True, expose_value=False, is_eager=True, callback=_zookeeper
    )(command)
    return click.version_option(package_name="tickertape", prog_name="tape")(command)


def _one_action(given: dict[str, Any], actions: Sequence[str]) -> str:
    chosen = [name for name in actions if given[name]]
    if len(chosen) != 1:
        flags = ", ".join("--" + name.rstrip("_").replace("_", "-") for name in actions)
        raise click.UsageError(f"Command must include exactly one action: {flags}")
    return chosen[0]


# -- kafka-topics ----------------------------------------------------------------------------

_TOPIC_ACTIONS: Final = ("list_", "describe", "create", "alter", "delete")


@click.command("kafka-topics", hidden=True)
@click.option("--list", "list_", is_flag=True)
@click.option("--describe", is_flag=True)
@click.option("--create", is_flag=True)
@click.option("--alter", is_flag=True)
@click.option("--delete", is_flag=True)
@click.option("-t", "--topic")
@click.option("--partitions", type=click.IntRange(1))
@click.option("--replication-factor", type=int, default=-1)
@click.option("--config", "configs", multiple=True, metavar="KEY=VALUE")
@click.option("--if-not-exists", is_flag=True)
@click.option("--if-exists", is_flag=True)
@click.option("--exclude-internal", is_flag=True)
@bootstrap_option
@client_options
@_flags_of_all
def kafka_topics(bootstrap: str, files: Any, given: Any, **wish: Any) -> None:  # noqa: ANN401  # click's options by name
    """What kafka-topics.sh does."""
    action = _one_action(wish, _TOPIC_ACTIONS)
    name = wish["topic"]
    if action in {"create", "alter", "delete"} and not name:
        raise click.UsageError(f"--{action} needs --topic")
    cluster = Cluster(bootstrap, files, given)
    match action:
        case "list_":
            for each in _topics(cluster, wish):
                click.echo(each.name)
        case "describe":
            for each in _topics(cluster, wish):
                _describe_topic(cluster, each)
        case "create":
            _create_topic(cluster, name, wish)
        case "alter":
            if wish["partitions"] is None:
                raise click.UsageError("--alter needs --partitions")
            _unless_absent(lambda: cluster.grow_topic(name, wish["partitions"]), wish)
        case _:
            _unless_absent(lambda: cluster.delete_topic(name), wish)


def _topics(cluster: Cluster, wish: dict[str, Any]) -> list[Any]:
    names = cluster.topic_names()
    if wish["topic"]:
        if wish["topic"] not in names:
            if wish["if_exists"]:
                return []
            raise MisuseError(f"Topic '{wish['topic']}' does not exist as expected")
        names = [wish["topic"]]
    found = cluster.topics(names)
    return [each for each in found if not (wish["exclude_internal"] and each.is_internal)]


def _describe_topic(cluster: Cluster, topic: Any) -> None:  # noqa: ANN401  # librdkafka's class is untyped
    own = [each for each in cluster.configs("topic", topic.name) if each.is_own]
    configs = ",".join(f"{each.name}={each.value}" for each in own)
    replicas = len(topic.partitions[0].replicas)
    click.echo(
        f"Topic: {topic.name}\tTopicId: {_url_safe(topic.topic_id)}\t"
        f"PartitionCount: {len(topic.partitions)}\tReplicationFactor: {replicas}\t"
        f"Configs: {configs}"
    )
    for part in topic.partitions:
        click.echo(
            f"\tTopic: {topic.name}\tPartition: {part.id}\tLeader: {part.leader.id}\t"
            f"Replicas: {_ids(part.replicas)}\tIsr: {_ids(part.isr)}"
        )


def _url_safe(topic_id: object) -> str:
    """A topic id as Kafka spells it; librdkafka uses the plain alphabet."""
    return str(topic_id).replace("+", "-").replace("/", "_")


def _ids(nodes: Sequence[Any]) -> str:
    return ",".join(str(node.id) for node in nodes)


def _create_topic(cluster: Cluster, name: str, wish: dict[str, Any]) -> None:
    configs = pairs(wish["configs"], "--config")
    try:
        cluster.create_topic(name, wish["partitions"] or -1, wish["replication_factor"], configs)
    except ClusterError as error:
        if not (wish["if_not_exists"] and error.code == "TOPIC_ALREADY_EXISTS"):
            raise
    else:
        click.echo(f"Created topic {name}.")


def _unless_absent(change: Any, wish: dict[str, Any]) -> None:  # noqa: ANN401  # any callable
    try:
        change()
    except ClusterError as error:
        if not (wish["if_exists"] and error.code == "UNKNOWN_TOPIC_OR_PART"):
            raise


# -- kafka-consumer-groups -------------------------------------------------------------------

_GROUP_ACTIONS: Final = ("list_", "describe", "reset_offsets", "delete")


@click.command("kafka-consumer-groups", hidden=True)
@click.option("--list", "list_", is_flag=True)
@click.option("--describe", is_flag=True)
@click.option("--reset-offsets", is_flag=True)
@click.option("--delete", is_flag=True)
@click.option("-g", "--group", "groups", multiple=True)
@click.option("--all-groups", is_flag=True)
@click.option("--members", is_flag=True)
@click.option("--state", is_flag=True)
@click.option("--offsets", is_flag=True)
@reset_options
@bootstrap_option
@client_options
@_flags_of_all
def kafka_consumer_groups(bootstrap: str, files: Any, given: Any, **wish: Any) -> None:  # noqa: ANN401  # click's options by name
    """What kafka-consumer-groups.sh does."""
    action = _one_action(wish, _GROUP_ACTIONS)
    cluster = Cluster(bootstrap, files, given)
    if action == "list_":
        for each in cluster.groups():
            click.echo(each.group_id)
        return
    names = list(wish["groups"])
    if wish["all_groups"]:
        names = [each.group_id for each in cluster.groups()]
    elif not names:
        raise click.UsageError("want --group or --all-groups")
    match action:
        case "describe":
            for name in names:
                _describe_group(cluster, name, wish)
        case "reset_offsets":
            rows = [
                [name, *place, offset]
                for name in names
                for place, offset in reset(cluster, name, wish).items()
            ]
            click.echo("\n" + table(RESET_COLUMNS, rows), nl=False)
        case _:
            for name in names:
                cluster.delete_group(name)
            listed = ", ".join(f"'{name}'" for name in names)
            click.echo(f"Deletion of requested consumer groups ({listed}) was successful.")


def _describe_group(cluster: Cluster, name: str, wish: dict[str, Any]) -> None:
    view, columns = "offsets", OFFSETS_COLUMNS
    if wish["members"]:
        view, columns = "members", MEMBERS_COLUMNS
    elif wish["state"]:
        view, columns = "state", STATE_COLUMNS
    rows = described(cluster, name, view)
    if view == "offsets" and rows and all(row[-1] is None for row in rows):
        click.echo(f"\nConsumer group '{name}' has no active members.", err=True)
    if rows:
        click.echo("\n" + table(columns, rows), nl=False)


# -- kafka-configs ---------------------------------------------------------------------------


@click.command("kafka-configs", hidden=True)
@click.option("--describe", is_flag=True)
@click.option("--alter", is_flag=True)
@click.option("--all", "all_", is_flag=True, help="Defaults too.")
@click.option("--entity-type", type=click.Choice(["topics", "brokers"]))
@click.option("--entity-name")
@click.option("-t", "--topic", help="As --entity-type topics --entity-name.")
@click.option("--broker", help="As --entity-type brokers --entity-name.")
@click.option("--add-config", "added", metavar="KEY=VALUE,KEY=[A,B]")
@click.option("--delete-config", "deleted", metavar="KEY,KEY")
@bootstrap_option
@client_options
@_flags_of_all
def kafka_configs(bootstrap: str, files: Any, given: Any, **wish: Any) -> None:  # noqa: ANN401  # click's options by name
    """What kafka-configs.sh does, for topics and brokers."""
    action = _one_action(wish, ("describe", "alter"))
    kind, name = _entity(wish)
    cluster = Cluster(bootstrap, files, given)
    if action == "alter":
        changes: list[tuple[str, str, str | None]] = []
        changes += [("SET", key, value) for key, value in added_configs(wish["added"] or "")]
        changes += [("DELETE", key, None) for key in (wish["deleted"] or "").split(",") if key]
        if not changes:
            raise click.UsageError("--alter needs --add-config or --delete-config")
        cluster.alter_configs(kind, name, changes)
        click.echo(f"Completed updating config for {kind} {name}.")
        return
    which = "All" if wish["all_"] else "Dynamic"
    click.echo(f"{which} configs for {kind} {name} are:")
    for config in cluster.configs(kind, name):
        if wish["all_"] or config.is_own:
            click.echo(f"  {_described_config(config)}")


def _entity(wish: dict[str, Any]) -> tuple[str, str]:
    if wish["topic"]:
        return "topic", wish["topic"]
    if wish["broker"]:
        return "broker", wish["broker"]
    if wish["entity_type"] and wish["entity_name"]:
        return wish["entity_type"].removesuffix("s"), wish["entity_name"]
    raise click.UsageError("want --entity-type and --entity-name, or --topic, or --broker")


def added_configs(text: str) -> list[tuple[str, str]]:
    """``a=1,b=[x,y]`` as pairs; brackets keep commas together."""
    found: list[tuple[str, str]] = []
    rest = text
    while rest:
        key, equals, rest = rest.partition("=")
        if not equals or not key.strip():
            raise click.UsageError(f"--add-config {text!r}: want KEY=VALUE, several with commas")
        if rest.startswith("["):
            value, _, rest = rest[1:].partition("]")
            rest = rest.removeprefix(",")
        else:
            value, _, rest = rest.partition(",")
        found.append((key.strip(), value))
    return found


def _described_config(config: Config) -> str:
    synonyms = ", ".join(
        f"{SOURCES.get(source, str(source))}:{name}={value}"
        for name, value, source in config.synonyms
    )
    sensitive = str(config.sensitive).lower()
    value = "null" if config.value is None else config.value
    return f"{config.name}={value} sensitive={sensitive} synonyms={{{synonyms}}}"
