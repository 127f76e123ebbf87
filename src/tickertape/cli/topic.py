"""``tape topic``: list, describe, create, alter, purge and delete topics; show their offsets."""

from typing import Any, Final

import click

from tickertape.cli.cluster import Cluster, ClusterError, client_options
from tickertape.cli.kafka_flags import bootstrap_option, pairs, topic_option
from tickertape.cli.purge import purge
from tickertape.cli.tables import output_option, show

_TIMES: Final = {
    "latest": "latest",
    "-1": "latest",
    "earliest": "earliest",
    "-2": "earliest",
    "max-timestamp": "max_timestamp",
    "-3": "max_timestamp",
}


@click.group()
def topic() -> None:
    """Topics: list, create, alter, purge, delete; show offsets."""


topic.add_command(purge)


@topic.command("list")
@bootstrap_option
@client_options
@output_option
def list_(bootstrap: str, output: str, **client: Any) -> None:  # noqa: ANN401  # click's options by name
    """Every topic, with its number of partitions."""
    cluster = Cluster(bootstrap, **client)
    found = [
        {"name": each.name, "partitions": len(each.partitions), "internal": each.is_internal}
        for each in cluster.topics(cluster.topic_names())
    ]
    rows = [[each["name"], each["partitions"]] for each in found]
    show(output, "topic.list", {"topics": found}, (["TOPIC", "PARTITIONS"], rows))


@topic.command(short_help="Partitions, leaders, replicas, own configs.")
@click.option("-t", "--topic", "names", multiple=True, help="Without it: every topic.")
@bootstrap_option
@client_options
@output_option
def describe(names: tuple[str, ...], bootstrap: str, output: str, **client: Any) -> None:  # noqa: ANN401  # click's options by name
    """Partitions, their leaders and replicas, and the configs that topics have of their own."""
    cluster = Cluster(bootstrap, **client)
    found = [
        {
            "name": each.name,
            "topic_id": str(each.topic_id),
            "internal": each.is_internal,
            "configs": {
                config.name: config.value
                for config in cluster.configs("topic", each.name)
                if config.is_own
            },
            "partitions": [
                {
                    "partition": part.id,
                    "leader": part.leader.id,
                    "replicas": [node.id for node in part.replicas],
                    "isr": [node.id for node in part.isr],
                }
                for part in each.partitions
            ],
        }
        for each in cluster.topics(names or cluster.topic_names())
    ]
    rows = [
        [
            each["name"],
            part["partition"],
            part["leader"],
            ",".join(map(str, part["replicas"])),
            ",".join(map(str, part["isr"])),
            ",".join(f"{key}={value}" for key, value in each["configs"].items()),
        ]
        for each in found
        for part in each["partitions"]
    ]
    headers = ["TOPIC", "PARTITION", "LEADER", "REPLICAS", "ISR", "CONFIGS"]
    show(output, "topic.describe", {"topics": found}, (headers, rows))


@topic.command()
@topic_option
@click.option("--partitions", type=click.IntRange(1), help="Default: the broker's.")
@click.option("--replication-factor", type=int, default=-1, help="Default: the broker's.")
@click.option("--config", "configs", multiple=True, metavar="KEY=VALUE")
@click.option("--if-not-exists", is_flag=True, help="A topic that exists is no error.")
@bootstrap_option
@client_options
@output_option
def create(topic: str, bootstrap: str, output: str, files: Any, given: Any, **wish: Any) -> None:  # noqa: ANN401  # click's options by name
    """Create a topic.

    \b
    tape topic create -t ticks --partitions 4 --config retention.ms=86400000 --if-not-exists
    """
    cluster = Cluster(bootstrap, files, given)
    created = True
    try:
        cluster.create_topic(
            topic,
            wish["partitions"] or -1,
            wish["replication_factor"],
            pairs(wish["configs"], "--config"),
        )
    except ClusterError as error:
        if not (wish["if_not_exists"] and error.code == "TOPIC_ALREADY_EXISTS"):
            raise
        created = False
    word = "created" if created else "exists"
    document = {"topic": topic, "created": created}
    show(output, "topic.create", document, (["TOPIC", "OUTCOME"], [[topic, word]]))


@topic.command()
@topic_option
@click.option("--partitions", type=click.IntRange(1), help="More than now.")
@click.option("--config", "set_", multiple=True, metavar="KEY=VALUE")
@click.option("--delete-config", "deleted", multiple=True, metavar="KEY", help="Back to default.")
@click.option("--append-config", "appended", multiple=True, metavar="KEY=VALUE", help="To a list.")
@click.option("--subtract-config", "removed", multiple=True, metavar="KEY=VALUE")
@bootstrap_option
@client_options
@output_option
def alter(topic: str, bootstrap: str, output: str, files: Any, given: Any, **wish: Any) -> None:  # noqa: ANN401  # click's options by name
    """Add partitions, change configs."""
    changes: list[tuple[str, str, str | None]] = []
    changes += [("SET", *pair) for pair in pairs(wish["set_"], "--config").items()]
    changes += [("DELETE", key, None) for key in wish["deleted"]]
    changes += [("APPEND", *pair) for pair in pairs(wish["appended"], "--append-config").items()]
    changes += [("SUBTRACT", *pair) for pair in pairs(wish["removed"], "--subtract-config").items()]
    if not changes and wish["partitions"] is None:
        raise click.UsageError("nothing to alter: want --partitions or a config")
    cluster = Cluster(bootstrap, files, given)
    if changes:
        cluster.alter_configs("topic", topic, changes)
    if wish["partitions"] is not None:
        cluster.grow_topic(topic, wish["partitions"])
    document = {"topic": topic, "altered": True}
    show(output, "topic.alter", document, (["TOPIC", "OUTCOME"], [[topic, "altered"]]))


@topic.command()
@click.option("-t", "--topic", "names", multiple=True, required=True)
@click.option("--if-exists", is_flag=True, help="A topic that does not exist is no error.")
@bootstrap_option
@client_options
@output_option
def delete(
    names: tuple[str, ...], if_exists: bool, bootstrap: str, output: str, **client: Any  # noqa: ANN401, FBT001  # click's options by name
) -> int:  # fmt: skip
    """Delete topics with all their records."""
    cluster = Cluster(bootstrap, **client)
    outcomes = {}
    for name in names:
        try:
            cluster.delete_topic(name)
        except ClusterError as error:
            outcomes[name] = "absent"
            if not (if_exists and error.code == "UNKNOWN_TOPIC_OR_PART"):
                click.echo(f"tape: {error}", err=True)
                outcomes[name] = "failed"
        else:
            outcomes[name] = "deleted"
    document = {"topics": [{"topic": name, "outcome": what} for name, what in outcomes.items()]}
    rows = [[name, what] for name, what in outcomes.items()]
    show(output, "topic.delete", document, (["TOPIC", "OUTCOME"], rows))
    return 1 if "failed" in outcomes.values() else 0


@topic.command(short_help="First and next offset of each partition.")
@topic_option
@click.option(
    "--time",
    "at",
    help="latest, earliest, max-timestamp or ms since 1970: the first record from then on.",
)
@bootstrap_option
@client_options
@output_option
def offsets(topic: str, at: str | None, bootstrap: str, output: str, **client: Any) -> None:  # noqa: ANN401  # click's options by name
    """The first and the next offset of each partition, or the one of --time."""
    asked: dict[str, str | int] = {"earliest": "earliest", "latest": "latest"}
    if at is not None:
        asked = {"offset": _time(at)}
    cluster = Cluster(bootstrap, **client)
    (described,) = cluster.topics([topic])
    places = [(topic, part.id) for part in described.partitions]
    found = {name: cluster.offsets(places, time) for name, time in asked.items()}
    partitions = [
        {"partition": place[1], **{name: found[name][place] for name in asked}} for place in places
    ]
    headers = ["TOPIC", "PARTITION", *(name.upper() for name in asked)]
    rows = [[topic, *each.values()] for each in partitions]
    show(output, "topic.offsets", {"topic": topic, "partitions": partitions}, (headers, rows))


def _time(text: str) -> str | int:
    if text in _TIMES:
        return _TIMES[text]
    if text.isdigit():
        return int(text)
    raise click.UsageError(f"--time {text!r}: want {', '.join(_TIMES)} or ms since 1970")
