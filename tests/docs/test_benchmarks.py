"""docs/benchmarks.md shows what was measured, and its verdicts are computed."""

from benchmarks.kafka_comparison import report
from benchmarks.kafka_comparison.rows import Row
from benchmarks.kafka_comparison.systems import KAFKA, KAFKA_SYNCED, OURS_SYNCED, SYSTEMS


def test_the_table_is_the_committed_result() -> None:
    text = report.DOCUMENT.read_text()
    assert text == report.with_table(text, report.table(report.load())), "run it with --render"
    assert report.PLOT.is_file()


def test_every_row_was_measured_for_every_system() -> None:
    rows = report.load()["rows"]
    assert rows.keys() == {row.id for group in report.GROUPS for row in group.rows}
    for values in rows.values():
        assert values.keys() == SYSTEMS.keys()


def test_less_is_better_turns_the_ratio() -> None:
    values = {OURS_SYNCED.name: [1.0, 2.0, 9.0], KAFKA_SYNCED.name: [4.0]}
    rate, latency = Row("a", "a", "MB/s"), Row("b", "b", "ms", more_is_better=False)
    assert report.ratio(rate, values, OURS_SYNCED, KAFKA_SYNCED) == 0.5
    assert report.ratio(latency, values, OURS_SYNCED, KAFKA_SYNCED) == 2.0
    assert report.ratio(rate, values, OURS_SYNCED, KAFKA) is None


def test_verdicts() -> None:
    assert report.verdict(1.06).startswith("ahead")
    assert report.verdict(1.04).startswith("level")
    assert report.verdict(0.94).startswith("**behind")
    assert report.within(0.8).startswith("yes")
    assert report.within(0.79).startswith("**no")


def test_added_rounds_are_told() -> None:
    result = report.load()
    often = dict.fromkeys(SYSTEMS, [1.0] * 50)
    uneven = result | {"rows": result["rows"] | {"fetch-100": often}}
    assert " to 50 rounds, by row" in report.table(uneven)
