"""The generated messages are what the generator makes: nobody edits them by hand."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "src" / "tickertape" / "wire" / "schema"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.py")}


def test_regenerating_changes_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "codegen", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(contents(tmp_path)) > 40
    assert contents(tmp_path) == contents(SCHEMA)
