"""What ``tape topic purge`` takes for what is wanted, before it asks anybody."""

from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from tickertape.cli.main import run
from tickertape.cli.purge import end_of_day_ms


@pytest.mark.parametrize(
    ("day", "zone", "end"),
    [
        ("2026-11-20", "UTC", "2026-11-21T00:00+00:00"),
        ("2026-11-20", "Asia/Seoul", "2026-11-20T15:00+00:00"),
        ("2026-11-20", "-05:00", "2026-11-21T05:00+00:00"),
        ("2026-10-25", "Europe/Berlin", "2026-10-25T23:00+00:00"),  # a day of 25 hours
        ("2026-03-29", "Europe/Berlin", "2026-03-29T22:00+00:00"),  # and one of 23
        ("2024-02-29", "UTC", "2024-03-01T00:00+00:00"),
    ],
)
def test_the_end_of_a_day(day: str, zone: str, end: str) -> None:
    at_ms = end_of_day_ms(day, zone)
    assert datetime.fromtimestamp(at_ms / 1000, UTC) == datetime.fromisoformat(end)


@pytest.mark.parametrize("day", ["", "yesterday", "2026-02-29", "9999-12-31"])
def test_no_day(day: str) -> None:
    with pytest.raises(click.UsageError, match="want YYYY-MM-DD"):
        end_of_day_ms(day, "UTC")


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ([], "want one of --before-offset, --before-time, --date, --all-verified"),
        (["--all-verified", "--before-offset", "1"], "want one of --before-offset"),
        (["--before-offset", "1", "--timezone", "UTC"], "--timezone is for --date"),
        (["--before-time", "noon"], "--before-time 'noon': want YYYY-MM-DDTHH"),
        (["--before-time", "1969-12-31T00:00"], "want 0 to 9223372036854775807"),
        (["--before-time", "9" * 20], "want 0 to 9223372036854775807"),
        (["--before-offset", "1"], "nobody to ask here: want --yes or --dry-run"),
    ],
)
def test_wrong_command_lines(
    wish: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["topic", "purge", "-t", "ticks", "--lake", str(tmp_path), *wish]) == 2
    assert why in capsys.readouterr().err


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = str(tmp_path / "tpyo")
    assert run(["topic", "purge", "-t", "ticks", "--lake", lake, "--all-verified", "--yes"]) == 1
    assert capsys.readouterr().err == f"tape: --lake {lake}: no such folder\n"
