"""What ``tape run`` says: progress on stderr while it works, the ledger on stdout at the end."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tickertape.base.ports import Clock
from tickertape.connect.feed.ledger import Ledger
from tickertape.connect.s3.inventory import Finding, Kind
from tickertape.connect.s3.runs import spelled
from tickertape.connect.s3.verify import Report

if TYPE_CHECKING:
    from rich.status import Status

_KEYS_SHOWN: Final = 5
_ADVICE: Final[tuple[tuple[Kind, str], ...]] = (
    (
        "missing",
        (
            "nothing repairs a backup by itself: restore the object and its manifest from the"
            " bucket's versions, or, while the topic has the records, back it up anew into an"
            " empty lake with a new connector name"
        ),
    ),
    (
        "doubled",
        "remove the copy that no manifest names; of two connectors verify one with --connector",
    ),
    (
        "altered",
        (
            "restore the version that was written first from the bucket's versions, or, while the"
            " topic has the records, back it up anew into an empty lake with a new connector name"
        ),
    ),
    (
        "unproven",
        (
            "if a worker is still storing, ask again when it is done; else compare with the topic"
            " (--bootstrap-server), or restore the manifests below _tickertape/ from the bucket's"
            " versions; another connector's objects can be accepted unread with --names-only"
        ),
    ),
    ("foreign", "move the file out of the topic's directory"),
)
_LINE_EVERY_MS: Final = 2_000  # where there is no terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that a run found out."""

    ledger: Ledger
    report: Report
    unreadable: int
    refusals: tuple[str, ...]
    resumed: int
    bad_rows: int
    dead_letters: Path | None
    seconds: float

    @property
    def verified(self) -> bool:
        """Both proofs hold: by offsets and digests, and by counting contents."""
        return self.report.verified and self.ledger.clean and not self.unreadable


def document(outcome: Outcome) -> str:
    """The document of ``-o json``."""
    report = outcome.report
    return json.dumps(
        {
            "_schema": "tape.run/1",
            "ledger": outcome.ledger.to_json(),
            "objects": report.objects,
            "bytes": report.bytes,
            "verified": outcome.verified,
            "seconds": round(outcome.seconds, 3),
            "lake": report.lake,
            "topic": report.topic,
            "resumed": outcome.resumed,
            "bad_rows": outcome.bad_rows,
            "dead_letters": str(outcome.dead_letters) if outcome.dead_letters else None,
            "refusals": list(outcome.refusals),
            "findings": [finding_line(finding) for finding in report.findings],
            "notes": report.notes,
            "advice": advice(report),
        }
    )


def table(outcome: Outcome) -> str:
    """The ledger under the notebook's column names, and the rest line by line."""
    report, counters = outcome.report, outcome.ledger.to_json()
    widths = {name: max(len(name), len(f"{value:,}")) for name, value in counters.items()}
    lines = [
        "  ".join(f"{name:>{widths[name]}}" for name in counters),
        "  ".join(f"{value:>{widths[name]},}" for name, value in counters.items()),
        "",
        f"verified  {'yes' if outcome.verified else 'NO'}: {_grounds(report)}",
        f"objects   {report.objects:,}, {report.bytes:,} bytes",
        f"lake      {report.lake}",
        f"topic     {report.topic}",
        f"seconds   {outcome.seconds:.1f}",
    ]
    if outcome.resumed:
        lines.append(f"resumed   {outcome.resumed:,} rows were in the topic already")
    if outcome.bad_rows:
        lines.append(f"bad rows  {outcome.bad_rows:,}, kept in {outcome.dead_letters}")
    lines += [f"refused   {refusal}" for refusal in outcome.refusals]
    if outcome.unreadable:
        lines.append(f"damaged   {outcome.unreadable} objects cannot be read")
    lines += [f"problem   {finding_line(finding)}" for finding in report.findings]
    lines += [f"note      {note}" for note in (*named_only(report), *report.notes)]
    lines += [f"to do     {line}" for line in advice(report)]
    return "\n".join(lines)


def _grounds(report: Report) -> str:
    compared = sum(partition.compared for partition in report.partitions)
    return (
        f"{report.records:,} offsets in {len(report.partitions)} partitions,"
        f" {compared} of {report.objects} objects compared with the topic"
    )


def finding_line(finding: Finding) -> str:
    """``missing: partition 0, offsets 3-5: the object that holds them is gone (KEY)``."""
    where = [] if finding.partition is None else [f"partition {finding.partition}"]
    where += [f"offsets {spelled(finding.runs)}"] if finding.runs else []
    shown = list(finding.keys[:_KEYS_SHOWN])
    more = len(finding.keys) - len(shown)
    shown += [f"and {more} more"] if more else []
    keys = f" ({', '.join(shown)})" if shown else ""
    parts = [finding.kind, ", ".join(where), finding.reason]
    return ": ".join(filter(None, parts)) + keys


def named_only(report: Report) -> list[str]:
    """What of the bucket nothing proves, as a line; none if there is no such object."""
    if not report.by_name:
        return []
    return [
        (
            f"{report.by_name:,} of {report.objects:,} objects not proven by a manifest"
            " (counted by name and lines only)"
        )
    ]


def advice_on(kind: Kind) -> str:
    """What a reader can do about a finding of this kind."""
    return dict(_ADVICE)[kind]


def advice(report: Report) -> list[str]:
    """What a reader can do about the findings, a line for each kind."""
    found = {finding.kind for finding in report.findings}
    return [f"{kind}: {what}" for kind, what in _ADVICE if kind in found]


class Console:
    """Lines on stderr, and a status that changes in place on a terminal, else now and then."""

    def __init__(self, clock: Clock, spinner: "Status | None") -> None:
        self._clock = clock
        self._spinner = spinner
        self._last = ""
        self._told_ms = clock.monotonic_ms()

    @classmethod
    @contextmanager
    def opened(cls, clock: Clock) -> "Iterator[Console]":
        """A console whose spinner turns while it is open, if stderr is a terminal."""
        if not sys.stderr.isatty():
            yield cls(clock, None)
            return
        from rich.console import Console as Terminal  # noqa: PLC0415  # slow to import

        with Terminal(stderr=True).status("starting") as spinner:
            yield cls(clock, spinner)

    def say(self, line: str) -> None:
        """A line that stays."""
        if self._spinner is not None:
            self._spinner.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)  # noqa: T201  # the terminal is the purpose

    def rest(self) -> None:
        """No status any more: the job is ending, and the prompt is the user's."""
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def status(self, text: str) -> None:
        """What is being done now."""
        if self._spinner is not None:
            self._spinner.update(text)
            return
        now_ms = self._clock.monotonic_ms()
        if text != self._last and now_ms - self._told_ms >= _LINE_EVERY_MS:
            self._last, self._told_ms = text, now_ms
            self.say(text)
