"""The command ``tape``: finds the subcommand, runs it, turns its outcome into an exit code.

Each command lives in a file of its own that is imported only when the command is invoked. Data goes
to stdout, everything else to stderr. Exit codes: 0 ok, 1 failed (a TapeError: one line, no
traceback), 2 usage, 3 a check found problems (a command returns 3), 130 interrupted.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import click

from tickertape.base.errors import TapeError
from tickertape.cli.interrupts import quiet_interrupt

COMMANDS: Final[dict[str, str]] = {
    "run": "tickertape.cli.run:run",
    "broker": "tickertape.cli.broker:broker",
    "topic": "tickertape.cli.topic:topic",
    "group": "tickertape.cli.group:group",
    "txn": "tickertape.cli.txn:txn",
    "produce": "tickertape.cli.produce:produce",
    "consume": "tickertape.cli.consume:consume",
    "worker": "tickertape.cli.worker:worker",
    "backup": "tickertape.cli.backup:backup",
}
"""Subcommand -> module:function. A command that is in neither table does not exist."""

KAFKA_TOOLS: Final[dict[str, str]] = {
    "kafka-topics": "tickertape.cli.kafka_tools:kafka_topics",
    "kafka-consumer-groups": "tickertape.cli.kafka_tools:kafka_consumer_groups",
    "kafka-configs": "tickertape.cli.kafka_tools:kafka_configs",
}
"""Kafka's own command lines, for the scripts in bin/; the help does not list them."""


class LazyGroup(click.Group):
    """A group whose members are imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None if there is none of that name."""
        target = COMMANDS.get(cmd_name) or KAFKA_TOOLS.get(cmd_name)
        if target is None:
            return super().get_command(ctx, cmd_name)
        module, _, function = target.partition(":")
        with quiet_interrupt():
            command = getattr(importlib.import_module(module), function)
        assert isinstance(command, click.Command), target
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and name the nearest command when there is none."""
        if args[0] in COMMANDS or args[0] in KAFKA_TOOLS:
            return super().resolve_command(ctx, args)
        import difflib  # noqa: PLC0415  # 10 ms that a correct command need not pay

        near = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if near:
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tickertape", prog_name="tape")
def tape() -> None:
    """Kafka for one machine and beyond, exactly once, from tick to S3, with the proof."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``tape`` with ``arguments`` (default: the process's own) and exit the process."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run ``tape`` and return its exit code."""
    try:
        outcome = tape.main(
            None if arguments is None else list(arguments), prog_name="tape", standalone_mode=False
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except TapeError as error:
        click.echo("; ".join([f"tape: {error}", *getattr(error, "__notes__", ())]), err=True)
        return 1
    except BrokenPipeError:  # `tape ... | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # such as stdout on a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in its buffer
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"tape: {where}{error.strerror or error}", err=True)
        return 1
    return outcome if isinstance(outcome, int) else 0
