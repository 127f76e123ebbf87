"""``tape topic purge``: delete from a topic what its backup is proven to hold, and nothing else."""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final, Literal, TypeVar

import click

from tickertape.base.errors import MisuseError
from tickertape.base.world import SystemClock, SystemRng
from tickertape.cli.backup import bucket_options, check_folder
from tickertape.cli.cluster import Cluster, ClusterError, Place, client_options
from tickertape.cli.kafka_flags import (
    bootstrap_option,
    client_properties,
    make_client,
    topic_option,
)
from tickertape.cli.resets import datetime_ms
from tickertape.cli.run_report import advice_on, finding_line
from tickertape.cli.tables import output_option, show, table
from tickertape.connect.s3 import joda
from tickertape.connect.s3.purge import Plan, Reason, Standing, Step, Stop, make_plan
from tickertape.connect.s3.verify import HARMLESS, Report, verify
from tickertape.connect.s3.witness import TopicWitness
from tickertape.objects.open import open_store

_REFUSED: Final = 3
_FAILED: Final = 1
_HEADERS: Final = [
    "TOPIC", "PARTITION", "LOG-START", "WANTED", "VERIFIED-TO", "DELETE-TO", "OFFSETS", "OUTCOME",
]  # fmt: skip
_SELECTIONS: Final = ("before_offset", "before_time", "date", "all_verified")
_MS_MAX: Final = (1 << 63) - 1
_WHY: Final[Mapping[Reason, tuple[str, str]]] = {
    "before": (
        "the backup begins later",
        (
            "compare with the topic (--deep), or back the topic up from its start with a new"
            " connector name"
        ),
    ),
    "behind": (
        "the backup ends here",
        "wait until the worker has stored more (tape worker start --once stores all there is)",
    ),
    "nothing": ("the backup holds nothing of this partition", "back it up first"),
    "unfinished": (
        "objects in no manifest, and the connector's group has not committed this offset",
        "let the connector finish its flush; name it with --connector if there is no manifest",
    ),
    "open": (
        "a transaction that is open ends what can be proven",
        "tape txn hanging --all says whose it is",
    ),
    "stranger": (
        "the backup is not of this topic",
        "another --lake or --connector; nothing is deleted, whatever is asked for",
    ),
}

Selection = tuple[Literal["offset", "time", "proven"], int]
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def selections(command: Decorated) -> Decorated:
    """What is wanted; exactly one of _SELECTIONS."""
    for option in (
        click.option("--timezone", metavar="TZ", help="Of --date, as Asia/Seoul.  [UTC]"),
        click.option("--all-verified", is_flag=True, help="All that is proven."),
        click.option(
            "--date",
            metavar="YYYY-MM-DD",
            help="Everything up to the end of this day: --before-time of the midnight after it.",
        ),
        click.option(
            "--before-time",
            metavar="TIME",
            help="Before the first record, in the log's order, that is not older than TIME (ISO, or"
            " ms since 1970). Later records with earlier timestamps stay.",
        ),
        click.option("--before-offset", type=click.IntRange(0), metavar="N"),
        click.option(
            "-p", "--partition", "partitions", type=click.IntRange(0), multiple=True,
            help="Only this one; several times for more.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command(short_help="Delete records that the backup is proven to hold.")
@topic_option
@selections
@bucket_options
@click.option("--deep", is_flag=True, help="Also compare the backup with the topic's records.")
@click.option(
    "--up-to-verified", is_flag=True, help="Where less is proven than wanted, delete that much."
)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@bootstrap_option
@client_options
@output_option
def purge(topic: str, output: str, **wish: Any) -> int:  # noqa: ANN401  # click's options by name
    """Delete records from a topic, never past what its backup is proven to hold.

    \b
    tape topic purge -t ticks --date 2026-11-20 --timezone Asia/Seoul --lake s3://bucket --dry-run
    tape topic purge -t ticks --before-offset 100000 --lake tape-data/lake --yes

    Reads the backup as `tape backup verify` does (--deep: with a bootstrap server). If anything
    that is wanted is not proven, nothing at all is deleted: exit code 3, and what to do. Not on a
    terminal it wants --yes or --dry-run. Safe to repeat.
    """
    wanted = _selection(wish)
    asks = not (wish["yes"] or wish["dry_run"])
    if asks and not sys.stdin.isatty():
        raise click.UsageError("nobody to ask here: want --yes or --dry-run")
    check_folder(wish["lake"])
    cluster = Cluster(wish["bootstrap"], wish["files"], wish["given"])
    kafka = client_properties(wish["files"], wish["given"], "-X")
    with make_client(_witness_of(topic, wish["bootstrap"]), kafka) as witness:
        standings = _standings(cluster, topic, wish["partitions"], wanted)
        report = _verified(topic, wish, witness if wish["deep"] else None)
        case = _Case(topic, report, make_plan(report, standings, witness), wish["deep"])
        case.explain()
        if not case.may_go(up_to_verified=wish["up_to_verified"]):
            if not case.plan.stranger:
                hint = "--up-to-verified deletes as far as the proof reaches"
                click.echo(f"tape: nothing at all is deleted; {hint}", err=True)
            case.show(output, dict.fromkeys(case.numbers, "refused"))
            return _REFUSED
        if wish["dry_run"]:
            case.show(output, case.outcomes("would be purged"))
            return 0
        if asks and case.offsets:
            case.ask()
        outcomes = case.outcomes("purged") | _delete(cluster, case, witness)
    case.show(output, outcomes)
    return _FAILED if any(isinstance(each, ClusterError) for each in outcomes.values()) else 0


def _witness_of(topic: str, bootstrap: str) -> Callable[[dict[str, Any]], TopicWitness]:
    """A client's factory, as make_client takes one."""
    return lambda kafka: TopicWitness(bootstrap, topic, clock=SystemClock(), kafka=kafka)


def _selection(wish: Mapping[str, Any]) -> Selection:
    """What is given. Usage errors."""
    given = [name for name in _SELECTIONS if wish[name] not in (None, False)]
    if len(given) != 1:
        flags = ", ".join("--" + name.replace("_", "-") for name in _SELECTIONS)
        raise click.UsageError(f"want one of {flags}")
    if wish["timezone"] is not None and wish["date"] is None:
        raise click.UsageError("--timezone is for --date; a time may have its own, as +09:00")
    if wish["before_offset"] is not None:
        return "offset", wish["before_offset"]
    if wish["before_time"] is not None:
        text = wish["before_time"]
        found = int(text) if text.isdecimal() else datetime_ms(text, "--before-time")
    elif wish["date"] is not None:
        found = end_of_day_ms(wish["date"], wish["timezone"] or "UTC")
    else:
        return "proven", 0
    if not 0 <= found <= _MS_MAX:
        raise click.UsageError(f"got the time {found} ms, want 0 to {_MS_MAX}")
    return "time", found


def end_of_day_ms(text: str, zone: str) -> int:
    """The first instant after a day, in ms since 1970."""
    tz = joda.zone(zone)
    try:
        noon = datetime.combine(date.fromisoformat(text), time(12), tzinfo=tz)
        return joda.start_of_next_day(tz, round(noon.timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"--date {text!r}: want YYYY-MM-DD") from error


def _standings(
    cluster: Cluster, topic: str, chosen: Sequence[int], wanted: Selection
) -> list[Standing]:
    """Each partition's ends, asked before the backup is read: what comes later is not wanted."""
    (described,) = cluster.topics([topic])
    there = sorted(part.id for part in described.partitions)
    absent = sorted(set(chosen) - set(there))
    if absent:
        raise MisuseError(f"--partition {absent[0]}: topic {topic} has {len(there)} partitions")
    places = [(topic, number) for number in there if not chosen or number in chosen]
    ends = cluster.offsets(places, "latest")
    stable = cluster.offsets(places, "latest", committed=True)
    stays: Mapping[Place, int | None]
    match wanted:
        case "proven", _:
            stays = dict.fromkeys(places)
        case "offset", offset:
            stays = {place: min(offset, ends[place]) for place in places}
        case "time", ms:
            # After the ends: where no record is so late, none before the end is.
            found = cluster.offsets(places, ms)
            stays = {at: min(found[at], ends[at]) if found[at] >= 0 else ends[at] for at in places}
    starts = cluster.offsets(places, "earliest")
    return [
        Standing(
            partition=place[1],
            log_start=starts[place],
            stable_end=stable[place],
            wanted=stays[place],
        )
        for place in places
    ]


def _verified(topic: str, wish: Mapping[str, Any], witness: TopicWitness | None) -> Report:
    store = open_store(wish["lake"], rng=SystemRng(), sleep=threading.Event().wait)
    return verify(
        store,
        topic,
        witness=witness,
        connector=wish["connector"],
        topics_dir=wish["topics_dir"],
    )


@dataclass(frozen=True, slots=True)
class _Case:
    """A plan, and its grounds. ``deep``: the topic's records are among them."""

    topic: str
    report: Report
    plan: Plan
    deep: bool

    @property
    def numbers(self) -> list[int]:
        """The partitions that are meant."""
        return [step.partition for step in self.plan.steps]

    @property
    def offsets(self) -> int:
        """How many would go in all."""
        return sum(step.offsets for step in self.plan.steps)

    def may_go(self, *, up_to_verified: bool) -> bool:
        """Whether this plan may be carried out."""
        return self.plan.proven or (up_to_verified and not self.plan.stranger)

    def explain(self) -> None:
        """Why the proof is shorter than the wish, and what else is wrong with the backup."""
        if self.plan.stranger:
            what, way_out = self.plan.stranger, _WHY["stranger"][1]
            click.echo(f"tape: topic {self.topic}: {what}; {way_out}", err=True)
            return
        stops = [step for step in self.plan.steps if step.stop is not None]
        told = [step.stop.finding for step in stops if step.stop is not None]
        for step in stops:
            line = f"{self.topic}-{step.partition}: {_explained(step, deep=self.deep)}"
            click.echo(f"tape: {line}", err=True)
        for finding in self.report.findings:
            mine = finding.partition is None or finding.partition in self.numbers
            if mine and finding.kind not in HARMLESS and finding not in told:
                click.echo(f"note: {finding_line(finding)}", err=True)

    def outcomes(self, word: str) -> dict[int, "str | ClusterError"]:
        """``word`` for each partition of which something goes."""
        return {
            step.partition: word if step.offsets else "nothing to do" for step in self.plan.steps
        }

    def ask(self) -> None:
        """Aborts unless the person at the terminal agrees."""
        click.echo(self._table(self.outcomes("to be purged")), nl=False, err=True)
        click.confirm(f"Delete these {self.offsets:,} offsets for good?", abort=True, err=True)

    def show(self, output: str, outcomes: "Mapping[int, str | ClusterError]") -> None:
        """The outcome of each partition."""
        document = {
            "topic": self.topic,
            "topic_id": self.plan.topic_id,
            "lake": self.report.lake,
            "proven": self.plan.proven,
            "stranger": self.plan.stranger or None,
            "partitions": [_step_json(step, outcomes) for step in self.plan.steps],
        }
        show(output, "topic.purge", document, (_HEADERS, self._rows(outcomes)))

    def _table(self, outcomes: "Mapping[int, str | ClusterError]") -> str:
        return table(_HEADERS, self._rows(outcomes))

    def _rows(self, outcomes: "Mapping[int, str | ClusterError]") -> list[list[object]]:
        return [
            [self.topic, step.partition, step.log_start, step.wanted, step.verified_to,
             step.delete_to, step.offsets, _word(outcomes[step.partition])]
            for step in self.plan.steps
        ]  # fmt: skip


def _explained(step: Step, *, deep: bool) -> str:
    stop = step.stop
    assert stop is not None
    if stop.finding is not None:
        finding = stop.finding
        what, way_out = finding_line(finding), advice_on(finding.kind)
        if not deep and (finding.kind == "unproven" or not finding.keys):
            way_out = f"ask the topic, too (--deep); {way_out}"
    else:
        assert stop.reason != "flaw", stop
        what, way_out = _WHY[stop.reason]
    return (
        f"wanted before {step.wanted}, proven only before {stop.offset}: {what}. To do: {way_out}"
    )


def _word(outcome: "str | ClusterError") -> str:
    return f"FAILED: {outcome}" if isinstance(outcome, ClusterError) else outcome


def _step_json(step: Step, outcomes: "Mapping[int, str | ClusterError]") -> dict[str, object]:
    outcome = outcomes[step.partition]
    return {
        "partition": step.partition,
        "log_start": step.log_start,
        "wanted": step.wanted,
        "verified_to": step.verified_to,
        "delete_to": step.delete_to,
        "offsets": step.offsets,
        "outcome": "failed" if isinstance(outcome, ClusterError) else outcome,
        "error": str(outcome) if isinstance(outcome, ClusterError) else None,
        "stop": _stop_json(step.stop),
    }


def _stop_json(stop: Stop | None) -> dict[str, object] | None:
    if stop is None:
        return None
    finding = stop.finding
    text = finding_line(finding) if finding is not None else None
    return {"offset": stop.offset, "reason": stop.reason, "finding": text}


def _delete(
    cluster: Cluster, case: _Case, witness: TopicWitness
) -> "dict[int, str | ClusterError]":
    """Delete; of each partition that failed, why."""
    before = {
        (case.topic, step.partition): step.delete_to for step in case.plan.steps if step.offsets
    }
    if before:  # asked again: reading the backup, and the person, may have taken long
        now, want = witness.identity(), case.plan.topic_id
        if now != want:
            raise MisuseError(
                f"topic {case.topic}: got the topic id {now or '(none)'}, want {want} as before the"
                " backup was read: nothing was deleted"
            )
    outcomes = cluster.delete_records(before)
    return {
        number: outcome
        for (_, number), outcome in outcomes.items()
        if isinstance(outcome, ClusterError)
    }
