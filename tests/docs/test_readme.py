"""README's first session runs as written, on another port; every benchmark it names exists."""

import re
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def first_session(port: int) -> str:
    """The block, with ``port`` wherever the default one is meant."""
    block = README.partition("## A first session")[2].split("```")[1]
    block = block.replace(". .venv/bin/activate", f"PATH={Path(sys.executable).parent}:$PATH")
    block = block.replace("--detach", f"--detach --port {port}")
    block = block.replace("-t mytopic", f"-t mytopic -b localhost:{port}")
    block = block.replace("worker start", f"worker start -b localhost:{port}")
    return f"set -eu\n{block.replace('-b localhost:9092', '')}"


def test_the_first_session_runs(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = first_session(free_port())
    try:
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=50,
            check=False,
        )  # fmt: skip
    finally:
        stop = [str(Path(sys.executable).parent / "tape"), "broker", "stop", "--data-dir", "data"]
        subprocess.run(stop, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "a\nb\nc\nd\n" in done.stdout
    assert "verified: 4 records of mytopic" in done.stdout
    tape = str(Path(sys.executable).parent / "tape")
    above = subprocess.run(
        [tape, "backup", "verify", "-t", "mytopic", "--lake", str(tmp_path / "lake")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"note: {tmp_path}/lake/kafkamytopictest holds some of it" in above.stdout
    assert len(list(tmp_path.glob("lake/kafkamytopictest/topics/mytopic/*/*.json.gz"))) == 2


def test_every_benchmark_that_is_named_exists() -> None:
    named = set(re.findall(r"benchmarks/\w+\.py", README))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_every_page_of_docs_is_linked() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert sorted(page for page in pages if f"({page})" not in README) == []
