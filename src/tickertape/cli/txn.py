"""``tape txn``: who has a transaction open, who holds readers back, and how to end it.

On any Kafka cluster, by the protocol's own admin calls (KIP-664): librdkafka has none of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from tickertape.base.errors import MisuseError
from tickertape.base.world import SystemClock
from tickertape.cli.cluster import client_options
from tickertape.cli.kafka_flags import bootstrap_option, client_properties
from tickertape.cli.reach import brokers_at
from tickertape.cli.tables import rows_option, show
from tickertape.client.brokers import Brokers
from tickertape.client.hanging import Finding, Verdict, find_open
from tickertape.client.transactions import OpenProducer, TransactionAdmin

LIST_COLUMNS: Final = ["TRANSACTIONAL-ID", "COORDINATOR", "PRODUCER-ID", "STATE"]
DESCRIBE_COLUMNS: Final = [
    "TRANSACTIONAL-ID", "COORDINATOR", "PRODUCER-ID", "EPOCH", "STATE", "TIMEOUT-MS", "AGE-MS",
    "PARTITIONS",
]  # fmt: skip
HANGING_COLUMNS: Final = [
    "TOPIC", "PARTITION", "HELD-BACK", "VERDICT", "TRANSACTIONAL-ID", "PRODUCER-ID", "EPOCH",
    "START-OFFSET", "AGE-MS",
]  # fmt: skip
ABORT_COLUMNS: Final = ["TOPIC", "PARTITION", "PRODUCER-ID", "EPOCH", "START-OFFSET", "OUTCOME"]
_PROBLEMS: Final = 3  # the exit code of a check that found some


@click.group()
def txn() -> None:
    """Transactions: who holds readers back, and how it ends."""


@txn.command("list")
@click.option("--state", "states", multiple=True, metavar="STATE", help="Ongoing, Empty, ...")
@click.option("--producer-id", "producer_ids", multiple=True, type=click.IntRange(0))
@click.option("--older-than-ms", type=click.IntRange(0), default=None, help="Since it began.")
@click.option("--pattern", metavar="REGEX", help="The whole transactional id matches it.")
@bootstrap_option
@client_options
@rows_option
def list_(bootstrap: str, output: str, **wish: Any) -> None:  # noqa: ANN401  # click's options by name
    """Every transactional id, with its coordinator and state."""
    older_than_ms = wish["older_than_ms"]
    with _reach(bootstrap, wish["files"], wish["given"]) as brokers:
        found = TransactionAdmin(brokers).listed(
            wish["states"],
            wish["producer_ids"],
            older_than_ms=-1 if older_than_ms is None else older_than_ms,
            pattern=wish["pattern"],
        )
    entries = [
        {
            "transactional_id": one.transactional_id,
            "coordinator": one.coordinator,
            "producer_id": one.producer_id,
            "state": one.state,
        }
        for one in found
    ]
    rows = [list(entry.values()) for entry in entries]
    show(output, "txn.list", {"transactions": entries}, (LIST_COLUMNS, rows))


@txn.command()
@click.argument("names", nargs=-1, required=True, metavar="TRANSACTIONAL-ID...")
@bootstrap_option
@client_options
@rows_option
def describe(names: tuple[str, ...], bootstrap: str, output: str, **client: Any) -> None:  # noqa: ANN401  # click's options by name
    """State, owner, age and partitions of transactional ids."""
    now_ms = SystemClock().now_ms()
    with _reach(bootstrap, **client) as brokers:
        admin = TransactionAdmin(brokers)
        found = [admin.described(name) for name in names]
    entries: list[dict[str, Any]] = [
        {
            "transactional_id": one.transactional_id,
            "coordinator": one.coordinator,
            "producer_id": one.producer_id,
            "producer_epoch": one.producer_epoch,
            "state": one.state,
            "timeout_ms": one.timeout_ms,
            "age_ms": None if one.started_ms < 0 else max(now_ms - one.started_ms, 0),
            "partitions": [
                {"topic": topic, "partition": index} for topic, index in sorted(one.partitions)
            ],
        }
        for one in found
    ]
    rows = [
        [
            *list(entry.values())[:-1],
            ",".join(f"{at['topic']}-{at['partition']}" for at in entry["partitions"]),
        ]
        for entry in entries
    ]
    show(output, "txn.describe", {"transactions": entries}, (DESCRIBE_COLUMNS, rows))


@txn.command()
@click.option("-t", "--topic", "topics", multiple=True, help="Only these; default: every topic.")
@click.option("--all", "everything", is_flag=True, help="Also those that are in order.")
@bootstrap_option
@client_options
@rows_option
def hanging(
    topics: tuple[str, ...],
    everything: bool,  # noqa: FBT001  # click's flag
    bootstrap: str,
    output: str,
    **client: Any,  # noqa: ANN401  # click's options by name
) -> int:
    """Who holds the last stable offset back, and by how many records.

    Shows transactions that nobody will end, and those that are overdue; exit code 3 if there are
    any. HELD-BACK is how many offsets no read_committed consumer reaches because of it.
    """
    with _reach(bootstrap, **client) as brokers:
        found = find_open(TransactionAdmin(brokers), topics or None, SystemClock().now_ms())
    shown = [one for one in found if everything or one.is_problem]
    entries = [_entry(one) for one in shown]
    rows = [
        [value for key, value in entry.items() if key not in {"coordinator_epoch", "fix"}]
        for entry in entries
    ]
    show(output, "txn.hanging", {"transactions": entries}, (HANGING_COLUMNS, rows))
    problems = [one for one in found if one.is_problem]
    for one in problems:
        click.echo(_fix(one), err=True)
    return _PROBLEMS if problems else 0


def _entry(one: Finding) -> dict[str, Any]:
    producer = one.producer
    topic, index = producer.place
    return {
        "topic": topic,
        "partition": index,
        "held_back": one.held_back,
        "verdict": str(one.verdict),
        "transactional_id": one.transaction.transactional_id if one.transaction else None,
        "producer_id": producer.producer_id,
        "producer_epoch": producer.producer_epoch,
        "start_offset": producer.start_offset,
        "age_ms": one.age_ms,
        "coordinator_epoch": producer.coordinator_epoch,
        "fix": _fix(one) if one.is_problem else None,
    }


def _fix(one: Finding) -> str:
    """What to do about it, in one line."""
    topic, index = one.producer.place
    if one.verdict is Verdict.HANGING:
        at = one.producer.start_offset
        return (
            f"{topic}-{index}: nobody will end it; "
            f"tape txn abort -t {topic} --partition {index} --start-offset {at}"
        )
    assert one.transaction is not None
    name, node_id = one.transaction.transactional_id, one.transaction.coordinator
    return (
        f"{topic}-{index}: broker {node_id}, which coordinates {name!r}, should have ended it; "
        "restart its producer, or look at that broker's log"
    )


@txn.command()
@click.option("-t", "--topic", required=True)
@click.option("-p", "--partition", required=True, type=click.IntRange(0))
@click.option("--start-offset", required=True, type=click.IntRange(0), metavar="N")
@click.option("--force", is_flag=True, help="Also if its coordinator will end it.")
@bootstrap_option
@client_options
@rows_option
def abort(topic: str, partition: int, bootstrap: str, output: str, **wish: Any) -> None:  # noqa: ANN401  # click's options by name
    """Write an abort marker for the transaction that began there.

    \b
    tape txn abort -t ticks --partition 0 --start-offset 4711
    """
    with _reach(bootstrap, wish["files"], wish["given"]) as brokers:
        admin = TransactionAdmin(brokers)
        found = find_open(admin, [topic], SystemClock().now_ms())
        one = _chosen(found, (topic, partition), wish["start_offset"], force=wish["force"])
        admin.abort(one)
    entry = {
        "topic": topic,
        "partition": partition,
        "producer_id": one.producer_id,
        "producer_epoch": one.producer_epoch,
        "start_offset": one.start_offset,
        "outcome": "aborted",
    }
    show(output, "txn.abort", {"transactions": [entry]}, (ABORT_COLUMNS, [list(entry.values())]))


def _chosen(
    found: Sequence[Finding], place: tuple[str, int], start_offset: int, *, force: bool
) -> OpenProducer:
    """The transaction that is meant. MisuseError if it is not there, or not to be touched."""
    here = [one for one in found if one.producer.place == place]
    for one in here:
        if one.producer.start_offset != start_offset:
            continue
        if one.transaction is not None and not force:
            name = one.transaction.transactional_id
            raise MisuseError(
                f"the transaction is that of {name!r} ({one.transaction.state}), which will be "
                "ended in all of its partitions; --force tears this one out of it"
            )
        return one.producer
    topic, index = place
    open_at = ", ".join(str(one.producer.start_offset) for one in here) or "none"
    raise MisuseError(
        f"no transaction that began at offset {start_offset} is open in {topic}-{index}; "
        f"open at: {open_at}"
    )


def _reach(bootstrap: str, files: Sequence[Path], given: Sequence[str]) -> Brokers:
    """The cluster."""
    return brokers_at(bootstrap, client_properties(files, given, "-X"))
