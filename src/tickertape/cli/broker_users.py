"""``tape broker add-user``: the first SCRAM credential, before there is anybody to log in as.

For a broker that does not run; one that does is asked with Kafka's own kafka-configs, or any admin
client. What is kept is salted and iterated; the password goes nowhere else.
"""

from pathlib import Path
from typing import Any, Final

import click

from tickertape.base.errors import MisuseError
from tickertape.base.world import OsFileSystem, SystemRng
from tickertape.broker.server.data_lock import DataLock
from tickertape.broker.state.scram import (
    ITERATIONS_MAX,
    ITERATIONS_MIN,
    MECHANISMS,
    credential_of,
    salted_password,
)
from tickertape.broker.state.security import Security

_SALT_BYTES: Final = 20
_SHORT: Final = "Give a user a password (SCRAM), before the broker starts."


@click.command("add-user", short_help=_SHORT)
@click.argument("name")
@click.argument(
    "properties", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--data-dir", help="Where the records are (log.dirs).")
@click.option(
    "--mechanism",
    type=click.Choice(list(MECHANISMS)),
    multiple=True,
    default=list(MECHANISMS),
    show_default=True,
    help="For which mechanisms; several times for several.",
)
@click.option(
    "--iterations",
    type=click.IntRange(ITERATIONS_MIN, ITERATIONS_MAX),
    default=ITERATIONS_MIN,
    show_default=True,
)
@click.option(
    "--password-file",
    type=click.File("r"),
    help="Read the password from the first line of a file, - for stdin; else it is asked for.",
)
def add_user(**given: Any) -> int:  # noqa: ANN401  # click hands over its options by name
    """Give the user NAME a password, in the data folder of --data-dir or of PROPERTIES.

    The broker must not run: a running one takes users from kafka-configs --alter --entity-type
    users. A password that the user has already is replaced.
    """
    from tickertape.cli.broker import folder_of  # noqa: PLC0415  # the group imports this module

    folder = folder_of(given["properties"], given["data_dir"])
    name = given["name"]
    if not name:
        raise click.UsageError("NAME is empty")
    password = _password(given["password_file"], name)
    fs, rng = OsFileSystem(), SystemRng()
    with DataLock(folder):
        security = Security(fs, folder, rng)
        security.load()
        upserts = {}
        for mechanism in map(MECHANISMS.__getitem__, given["mechanism"]):
            salt = rng.token(_SALT_BYTES)
            salted = salted_password(mechanism, password, salt, given["iterations"])
            credential = credential_of(mechanism, salted, salt, given["iterations"])
            upserts[name, mechanism] = credential
        security.change_credentials(upserts, ())
    click.echo(f"{name} can log in with {', '.join(given['mechanism'])}", err=True)
    return 0


def _password(file: Any, name: str) -> str:  # noqa: ANN401  # click's lazy file
    if file is None:
        text = click.prompt(f"password of {name}", hide_input=True, confirmation_prompt=True)
        return str(text)
    line = str(file.readline()).rstrip("\r\n")
    if not line:
        raise MisuseError(f"{file.name}: got an empty first line, want the password")
    return line
