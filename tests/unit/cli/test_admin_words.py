"""What the admin commands read and print, without a cluster."""

import click
import pytest

from tickertape.cli import main
from tickertape.cli.kafka_tools import added_configs
from tickertape.cli.resets import datetime_ms, duration_ms
from tickertape.cli.tables import table


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("P1D", 86_400_000),
        ("PT2H", 7_200_000),
        ("P1DT1H1M1.5S", 90_061_500),
        ("PT0S", 0),
        ("P1DT", 86_400_000),
    ],
)
def test_durations(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "P", "PT", "1D", "P1H", "P-1D"])
def test_no_durations(text: str) -> None:
    with pytest.raises(click.UsageError, match="want PnDTnHnMnS"):
        duration_ms(text)


@pytest.mark.parametrize(
    "text",
    ["2023-11-14T22:13:20", "2023-11-14T22:13:20.000Z", "2023-11-15T07:13:20+09:00"],
)
def test_times(text: str) -> None:
    assert datetime_ms(text) == 1_700_000_000_000


def test_no_time() -> None:
    with pytest.raises(click.UsageError, match="want YYYY-MM-DDTHH:mm:SS"):
        datetime_ms("yesterday")


def test_added_configs() -> None:
    assert added_configs("a=1,b=[x,y],c=") == [("a", "1"), ("b", "x,y"), ("c", "")]
    with pytest.raises(click.UsageError, match="want KEY=VALUE"):
        added_configs("a")


def test_a_table_is_aligned_and_has_no_empty_cell() -> None:
    assert table(["A", "LONG"], [["xyz", None], [1, ""]]) == "A   LONG\nxyz -\n1   -\n"


@pytest.mark.parametrize("name", main.KAFKA_TOOLS)
def test_kafkas_tools_are_there_and_not_in_the_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: tape {name} ")
    assert main.run(["--help"]) == 0
    assert name not in capsys.readouterr().out
    assert main.run([name]) == 2
    assert "exactly one action" in capsys.readouterr().err
