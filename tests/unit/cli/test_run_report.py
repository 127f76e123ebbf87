"""What the user reads at the end of a run and of a verification."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console as Terminal

from tickertape.base.errors import MisuseError
from tickertape.base.fakes import FakeClock
from tickertape.cli.backup import backup
from tickertape.cli.backup import table as verify_table
from tickertape.cli.run_report import Console, Outcome, document, finding_line, table
from tickertape.connect.feed.ledger import Ledger
from tickertape.connect.s3.inventory import Finding
from tickertape.connect.s3.verify import Gap, PartitionReport, Report

GOOD = Ledger(1200, 1200, 1200, 0, 1200, 0, 0, 0)
BAD = Ledger(1200, 1200, 1200, 0, 1197, 3, 0, 0)
MISSING = Finding(
    kind="missing",
    partition=2,
    runs=((3, 5), (9, 9)),
    reason="the object that holds them is gone",
    keys=("topics/t/a",),
)


def report(*findings: Finding) -> Report:
    part = PartitionReport(
        partition=2,
        first=0,
        last=1209,
        records=1200,
        objects=3,
        bytes=45_678,
        compared=3,
        gaps=(Gap(first=20, last=29, reason="aborted transaction"),),
    )
    return Report(topic="t", lake="file:///lake", partitions=[part], findings=list(findings))


def outcome(ledger: Ledger, *findings: Finding, bad_rows: int = 0, unreadable: int = 0) -> Outcome:
    return Outcome(
        ledger=ledger,
        report=report(*findings),
        unreadable=unreadable,
        refusals=(),
        resumed=700,
        bad_rows=bad_rows,
        dead_letters=Path("/d/dead.jsonl") if bad_rows else None,
        seconds=4.2,
    )


def test_the_table_has_the_notebooks_columns_over_their_numbers() -> None:
    lines = table(outcome(GOOD)).splitlines()
    assert lines[0].split() == list(GOOD.to_json())
    assert lines[1].split() == ["1,200", "1,200", "1,200", "0", "1,200", "0", "0", "0"]
    assert len(lines[0]) == len(lines[1])
    assert any(line.startswith("verified  yes: 1,200 offsets in 1 partitions") for line in lines)
    assert "lake      file:///lake" in lines
    assert "resumed   700 rows were in the topic already" in lines


def test_the_table_says_what_is_wrong() -> None:
    text = table(outcome(BAD, MISSING, bad_rows=4, unreadable=1))
    assert "verified  NO" in text
    assert "bad rows  4, kept in /d/dead.jsonl" in text
    assert "problem   missing: partition 2, offsets 3-5, 9: the object that holds them" in text
    assert "damaged   1 objects cannot be read" in text


def test_each_of_the_two_proofs_can_fail_the_run() -> None:
    assert outcome(GOOD).verified
    assert not outcome(BAD).verified
    assert not outcome(GOOD, MISSING).verified
    assert not outcome(GOOD, unreadable=1).verified


def test_the_document_has_the_promised_fields_first() -> None:
    found = json.loads(document(outcome(GOOD, bad_rows=4)))
    promised = ["_schema", "ledger", "objects", "bytes", "verified", "seconds", "lake", "topic"]
    assert list(found)[: len(promised)] == promised
    assert found["_schema"] == "tape.run/1"
    assert found["ledger"] == GOOD.to_json()
    assert (found["resumed"], found["bad_rows"]) == (700, 4)


def test_a_finding_without_offsets_is_still_a_sentence() -> None:
    foreign = Finding(kind="foreign", partition=None, runs=(), reason="whose?", keys=("a", "b"))
    assert finding_line(foreign) == "foreign: whose? (a, b)"


def test_the_verification_names_partitions_gaps_and_verdict() -> None:
    text = verify_table(report())
    assert text.splitlines()[1].split() == ["2", "0", "1209", "1,200", "3", "45,678", "3", "20-29"]
    assert "gap: partition 2, offsets 20-29: aborted transaction" in text
    assert text.endswith("verified: 1,200 records of t in file:///lake")
    assert "NOT verified" in verify_table(report(MISSING))
    assert "missing: partition 2, offsets 3-5, 9" in verify_table(report(MISSING))


def test_objects_that_nothing_proves_are_counted_in_the_verdict() -> None:
    counted = report()
    counted.partitions = [replace(counted.partitions[0], by_name=2)]
    line = "2 of 3 objects not proven by a manifest (counted by name and lines only)"
    assert verify_table(counted).splitlines()[-1] == line
    assert line in table(replace(outcome(GOOD), report=counted))


def test_findings_say_what_to_do_about_them() -> None:
    assert "to do: missing: nothing repairs a backup by itself" in verify_table(report(MISSING))
    assert "to do     missing: nothing repairs" in table(outcome(BAD, MISSING))
    (told,) = json.loads(document(outcome(BAD, MISSING)))["advice"]
    assert told.startswith("missing: ")
    assert "to do" not in verify_table(report())


def test_a_finding_with_many_objects_names_the_first() -> None:
    many = replace(MISSING, keys=tuple(f"k{number}" for number in range(9)))
    assert finding_line(many).endswith("(k0, k1, k2, k3, k4, and 4 more)")


def test_a_lake_that_is_not_there_is_named(tmp_path: Path) -> None:
    for lake in (str(tmp_path / "lake"), (tmp_path / "lake").as_uri()):
        arguments = ["verify", "-t", "t", "--lake", lake]
        with pytest.raises(MisuseError, match="no such folder"):
            backup.main(arguments, standalone_mode=False)


def test_a_line_is_not_wrapped_and_nothing_is_redrawn_once_the_job_is_ending() -> None:
    screen = io.StringIO()
    terminal = Terminal(file=screen, force_terminal=True, width=40)
    with terminal.status("starting") as spinner:
        console = Console(FakeClock(), spinner)
        console.say("ticks: " + "x" * 80)
        console.rest()
        drawn = screen.getvalue()
        console.status("2 rows")
    assert "ticks: " + "x" * 80 in drawn
    assert screen.getvalue() == drawn
