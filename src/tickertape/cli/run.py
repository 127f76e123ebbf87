"""``tape run``: a file of ticks in, a proven backup out, on an embedded broker.

Broker and worker are processes of their own, which end with this one; each is started again if it
dies. Everything that a run knows is in the topic, the group and the bucket, so that the same
command after any crash continues: see connect.feed.resume and connect.s3.commit.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click

from tickertape.base.world import SystemClock
from tickertape.cli.interrupts import asked_to_stop
from tickertape.cli.run_files import RunFolder, readable
from tickertape.cli.run_job import BadRowsError, InterruptedJobError, Job, JobOptions
from tickertape.cli.run_report import Console, document, table
from tickertape.connect.feed.resume import RefusedError
from tickertape.connect.feed.rows import RowOptions

_CHECK_FAILED: Final = 3


class _Refusal(click.ClickException):
    """The arguments do not go with what is there already: as wrong usage, without the usage."""

    exit_code = 2


@click.command(short_help="A tick file in, a proven backup in S3 out.")
@click.option(
    "--ticks",
    type=click.Path(path_type=Path),
    help="CSV or CSV.gz with a header, any columns. Default: a synthetic day.",
)
@click.option("-t", "--topic", default="ticks", show_default=True)
@click.option(
    "--lake",
    help="file:///folder, s3://bucket[/prefix] or a path. [default: DATA_DIR/lake]",
)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), default=Path("tape-data"), show_default=True
)
@click.option("-b", "--bootstrap-server", help="Use this cluster instead of an embedded broker.")
@click.option("-n", "--count", type=click.IntRange(1), help="Stop after so many good rows.")
@click.option(
    "--speed",
    default="max",
    show_default=True,
    metavar="max|Nx",
    help="As fast as it goes, or in the ticks' own time, or so many times faster.",
)
@click.option("--partitions", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--key-column", help="[symbol, else instrument, else the file's name]")
@click.option("--time-column", metavar="NAME[:ns|us|ms|s|iso]", help="[guessed from the header]")
@click.option("--append", is_flag=True, help="Into a topic that holds other rows, on purpose.")
@click.option(
    "--max-bad-rows", type=click.IntRange(0), help="Exit code 3 at one more. [default: no limit]"
)
@click.option("--seed", type=int, default=7, show_default=True, help="Of the synthetic day.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def run(**given: Any) -> int:  # noqa: ANN401  # click hands over its options by name
    """Produce every row of a tick file, back the topic up, and prove that nothing is lost.

    \b
    tape run                                  a synthetic day, everything below ./tape-data
    tape run --ticks trades.csv.gz -n 100000  the first rows of your own file

    Run it again after a crash, with the same arguments: it goes on where it was. Exit code 3 if
    the proof finds that anything is missing, doubled or altered.
    """
    folder = RunFolder(given["data_dir"])
    clock = SystemClock()
    with folder.lock(), Console.opened(clock) as console:
        options = _options(given, folder, console)
        with asked_to_stop() as stop, ExitStack() as children:
            job = Job(options, folder, clock=clock, console=console, stop=stop)
            children.callback(job.end_children)
            try:
                outcome = job.run()
            except InterruptedJobError:
                console.say(
                    f"interrupted: {job.acked:,} rows are in topic {options.topic};"
                    " run the same command again to resume"
                )
                raise click.Abort from None
            except RefusedError as error:
                raise _Refusal(str(error)) from error
            except BadRowsError as error:
                console.say(f"tape: {error}")
                return _CHECK_FAILED
    click.echo(document(outcome) if given["output"] == "json" else table(outcome))
    return 0 if outcome.verified else _CHECK_FAILED


def _options(given: dict[str, Any], folder: RunFolder, console: Console) -> JobOptions:
    count, ticks = given["count"], given["ticks"]
    path = readable(ticks) if ticks else folder.synthetic_ticks(given["seed"], count, console.say)
    return JobOptions(
        ticks=path,
        topic=given["topic"],
        lake=given["lake"] or folder.default_lake,
        bootstrap=given["bootstrap_server"],
        count=count,
        speed=_speed(given["speed"]),
        partitions=given["partitions"],
        rows=RowOptions(key_column=given["key_column"], time_column=given["time_column"]),
        append=given["append"],
        bad_rows_max=given["max_bad_rows"],
    )


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        factor = float(text.removesuffix("x"))
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise click.BadParameter(f"--speed {text}: want max, or a factor such as 1x or 10x")
    return factor
