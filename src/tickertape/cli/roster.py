"""Which brokers this user has started: a file for each data directory, in the user's state folder.

The file says only where to look. Whether a broker runs there its lock says, see broker.server's
data_lock; so a file that a killed broker left behind does no harm.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from tickertape.base.errors import StorageError
from tickertape.broker.server.data_lock import Running, running


def roster_folder() -> Path:
    """``$XDG_STATE_HOME/tickertape/brokers``: the same in a login session, in cron and by su."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "tickertape" / "brokers"


def enter(data_dir: str) -> None:
    """Note that a broker runs on this directory. StorageError if that cannot be written."""
    entry = _entry(data_dir)
    fresh = entry.with_suffix(".tmp")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(str(Path(data_dir).absolute()))
        fresh.replace(entry)
    except OSError as error:
        raise StorageError(f"{entry}: {error.strerror}") from error


def leave(data_dir: str) -> None:
    """Take the note back, unless a broker, another one then, runs there. Safe to repeat."""
    if running(data_dir) is not None:
        return
    with contextlib.suppress(OSError):  # it says only where to look
        _entry(data_dir).unlink(missing_ok=True)


def all_running() -> dict[str, Running]:
    """The brokers that run now, by data directory. Forgets directories that are gone."""
    found: dict[str, Running] = {}
    for entry in sorted(roster_folder().glob("*.path")):
        try:
            data_dir = entry.read_text()
        except OSError:
            continue  # it left meanwhile
        holder = running(data_dir)
        if holder is not None:
            found[data_dir] = holder
        elif not Path(data_dir).exists():
            leave(data_dir)
    return found


def _entry(data_dir: str) -> Path:
    path = str(Path(data_dir).absolute())
    return roster_folder() / f"{hashlib.sha256(path.encode()).hexdigest()[:16]}.path"
