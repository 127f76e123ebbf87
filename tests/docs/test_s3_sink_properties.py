"""docs/s3-sink.md names every property of the two files and what becomes of it."""

from pathlib import Path

import pytest

from tickertape.config.keys import Key
from tickertape.config.s3_sink import CONVERTER_KEYS
from tickertape.config.s3_sink import KEYS as SINK_KEYS
from tickertape.config.worker import KEYS as WORKER_KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "s3-sink.md").read_text()


@pytest.mark.parametrize(
    "key", [*SINK_KEYS, *CONVERTER_KEYS, *WORKER_KEYS], ids=lambda key: str(key.name)
)
def test_every_property_is_on_the_page(key: Key) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{key.name}` |")]
    assert rows
    reason = key.inert or key.refused
    assert any(reason in row for row in rows)
