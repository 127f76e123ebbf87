"""``python -m tests.fuzz TARGET...``: fuzz with atheris, led by coverage; or replay what failed.

    python -m tests.fuzz                               # every target, as many runs as the suite
    python -m tests.fuzz batch --runs 1000000 --seed 7
    python -m tests.fuzz batch --replay crash-0123abcd # the file that atheris has left behind

An input that raises, takes longer than 10 s or makes the process grow beyond 1 GB fails, and is
written to --artifacts. The same --seed and --runs try the same inputs. Exit code 1 if one failed.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tickertape"]):
    from tests.fuzz.targets import TARGETS

    from tickertape.broker.api.table import HANDLERS, load_handler

    for key in HANDLERS:
        load_handler(key)

TIMEOUT_S = 10
MEMORY_MB = 1024
BYTES_MAX = 8192


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--replay", type=Path, help="run this input and nothing else")
    parser.add_argument("--runs", type=int, help="default: what the test suite does")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="keep what is found here (default: nowhere)")
    parser.add_argument("--artifacts", type=Path, default=Path(tempfile.gettempdir()))
    given = parser.parse_args()
    if strangers := set(given.targets) - set(TARGETS):
        parser.error(f"got {', '.join(strangers)}, want some of {', '.join(TARGETS)}")
    failed = []
    for name in given.targets or TARGETS:
        if given.replay:
            TARGETS[name].run(given.replay.read_bytes())
        elif not _in_child(name, given):
            failed.append(name)
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return bool(failed)


def _in_child(name: str, given: argparse.Namespace) -> bool:
    """Fuzz one target in a fork: atheris ends its process, and importing everything takes long."""
    with tempfile.TemporaryDirectory(prefix="tape-fuzz-") as scratch:
        child = os.fork()
        if not child:
            try:
                _fuzz(name, given, given.corpus or Path(scratch))
            finally:
                os._exit(2)  # atheris has not ended it: something here has failed
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _fuzz(name: str, given: argparse.Namespace, corpus: Path) -> None:
    target = TARGETS[name]
    corpus.mkdir(parents=True, exist_ok=True)
    given.artifacts.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number:04d}").write_bytes(seed)
    runs = target.runs if given.runs is None else given.runs
    flags = {"runs": runs, "seed": given.seed, "timeout": TIMEOUT_S, "verbosity": 0}
    flags |= {"rss_limit_mb": MEMORY_MB, "max_len": BYTES_MAX}
    command = [f"-{flag}={value}" for flag, value in flags.items()]
    command += [f"-artifact_prefix={given.artifacts}/", str(corpus)]
    sys.stderr.write(f"{name}: {runs} runs, seed {given.seed}\n")
    sys.stderr.flush()
    atheris.Setup([sys.argv[0], *command], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
