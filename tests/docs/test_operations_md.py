"""docs/operations.md lists exactly what /metrics shows."""

import asyncio
import re
from pathlib import Path

from prometheus_client.core import Metric
from tests.unit.broker.harness import Core

from tickertape.broker.server.core_loop import CoreLoop
from tickertape.broker.server.exposition import families, take
from tickertape.broker.server.limits import Limits

DOC = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
ROW = re.compile(r"^\| `([a-z_]+)` \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)


def exposed() -> list[Metric]:
    core = Core()

    async def main() -> list[Metric]:
        shell = CoreLoop(core.broker, lambda *_: None, clock=core.clock, limits=Limits())
        readings = take(core.broker, shell, shell.commits.seconds, 0)
        shell.close()
        return list(families(readings))

    return asyncio.run(main())


def name_of(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def test_every_metric_is_documented_and_no_other() -> None:
    documented = {name: meaning for name, _, meaning in ROW.findall(DOC)}
    shown = {name_of(family): family.documentation for family in exposed()}
    assert documented == shown


def test_labels_are_those_documented() -> None:
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels, _ in ROW.findall(DOC)}
    for family in exposed():
        for sample in family.samples:
            labels = {label for label in sample.labels if label != "le"}
            assert labels <= documented[name_of(family)], (sample.name, labels)


def test_every_kind_of_problem_is_documented_and_no_other() -> None:
    source = Path(__file__).parents[2] / "src" / "tickertape"
    code = "".join(
        (source / name).read_text() for name in ("log/check.py", "broker/state/check.py")
    )
    kinds = set(re.findall(r'Problem\("([a-z-]+)"', code))
    kinds |= {"snapshot", "window", "group-state", "transaction-state"}  # chosen by the file's name
    table = DOC.partition("| problem |")[2].partition("\n\n")[0]
    documented = set(
        re.findall(r"`([a-z]+(?:-[a-z]+)*)`", table.replace("`leader-epoch-checkpoint`", ""))
    )
    assert kinds - {"leftover"} == documented
