"""House rules that no linter checks: sizes, opening promises, banned words, modules nobody uses."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tickertape"
GENERATED = SOURCE / "wire" / "schema"

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 600
BANNED_MODULE_NAMES = {"util", "utils", "helper", "helpers", "manager", "common", "misc", "data"}
# Spelled in pieces, so that this file passes its own test.
BANNED_WORDS = re.compile(
    r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b"
)
REGISTRY_HOSTS = re.compile(
    r"|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "npmjs" + r"\.(org|com)",
               "repo1?" + r"\.maven" + r"\.", "crates" + r"\.io", "proxy" + r"\.golang"])
)  # fmt: skip


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if GENERATED not in path.parents)


def tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], cwd=ROOT, capture_output=True, check=False
    )
    names = listing.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_is_small_and_opens_with_its_promise(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "the file opens with its promise"
    assert len(text.splitlines()) <= FILE_LINES_MAX
    assert path.stem not in BANNED_MODULE_NAMES
    for function in functions(tree):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        assert lines <= FUNCTION_LINES_MAX, f"{function.name} has {lines} lines"


def test_no_leftovers_and_no_registry_hosts() -> None:
    found = []
    for path in tracked_files():
        if path.suffix in {".gz", ".png", ".hex", ".bin"}:
            continue
        text = path.read_text(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if BANNED_WORDS.search(line) or REGISTRY_HOSTS.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_every_module_is_used() -> None:
    """A module is reached by an import, by name in a lazy table, or it is an entry point."""
    everything = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    entry_points = {"tickertape.cli.entry"}
    unused = []
    for path in modules():
        if path.stem == "__init__" or path.stem.startswith("fake"):  # fakes are for tests
            continue
        dotted = "tickertape." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        package, name = dotted.rsplit(".", 1)
        by_from = rf"from {re.escape(package)} import [^\n]*\b{name}\b"
        if dotted in entry_points or dotted in everything or re.search(by_from, everything):
            continue
        if re.search(rf"from {re.escape(package)} import \([^)]*\b{name}\b", everything):
            continue
        unused.append(dotted)
    assert unused == []


def test_every_decision_record_is_listed() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert records, "there are decision records"
    missing = [record.name for record in records if record.name not in index]
    assert missing == []
