"""What every command has in common: finding it, and turning its outcome into an exit code."""

from pathlib import Path

import click
import pytest

from tickertape.base.errors import MisuseError
from tickertape.cli import main


def outcome(monkeypatch: pytest.MonkeyPatch, command: click.Command) -> int:
    """The exit code of ``tape`` with ``command`` as its only one."""
    monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: command)
    monkeypatch.setattr(main, "COMMANDS", {"it": "nowhere:it"})
    return main.run(["it"])


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_can_be_imported_and_helps(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: tape {name} ")


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in main.COMMANDS)


@pytest.mark.parametrize("words", [[], *([name] for name in main.COMMANDS)])
def test_no_short_help_is_cut(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([*words, "--help"]) == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_a_mistyped_command_is_a_usage_error_that_names_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["brokr", "start"]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert "No such command 'brokr'. Did you mean 'broker'?" in seen.err


def test_a_command_like_no_other_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["xyzzy"]) == 2
    assert "No such command 'xyzzy'." in capsys.readouterr().err


def test_an_error_of_ours_is_one_line_and_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def it() -> None:
        raise MisuseError("got a, want b")

    assert outcome(monkeypatch, it) == 1
    assert capsys.readouterr() == ("", "tape: got a, want b\n")


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_what_a_command_returns_is_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, returned: int | None, code: int
) -> None:
    @click.command()
    def it() -> int | None:
        return returned

    assert outcome(monkeypatch, it) == code


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def it() -> None:
        raise KeyboardInterrupt

    assert outcome(monkeypatch, it) == 130


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def it() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outcome(monkeypatch, it)


@pytest.mark.parametrize("tool", ["kafka-topics", "kafka-consumer-groups", "kafka-configs"])
def test_kafkas_tools_need_no_zookeeper_and_have_a_version(
    tool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([tool, "--zookeeper", "localhost:2181"]) == 2
    assert "none is needed, use --bootstrap-server" in capsys.readouterr().err
    assert main.run([tool, "--version"]) == 0
    assert "tape, version " in capsys.readouterr().out


def test_empty_files_among_several_are_counted_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"{number:020}.log" for number in range(3)]
    for file in files:
        file.touch()
    assert main.run(["broker", "dump", *map(str, files)]) == 0
    assert capsys.readouterr().out == "3 empty files\n"
    assert main.run(["broker", "dump", str(files[0])]) == 0
    assert capsys.readouterr().out == f"{files[0]}: segment, 0 bytes\n"
