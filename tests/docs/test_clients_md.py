"""The table of clients in docs/kafka.md is what tests/interop/covered.py says, and that is so."""

import ast
from pathlib import Path

import pytest
from tests.interop.covered import COVERED, TOPICS, table

ROOT = Path(__file__).parents[2]
CLAIMS = sorted({test for tests in COVERED.values() for test in tests if "::" in test})


def test_the_table_is_in_the_docs() -> None:
    assert "\n".join(table()) in (ROOT / "docs" / "kafka.md").read_text()


def test_every_client_has_something_to_say_of_every_topic() -> None:
    assert {client: len(tests) for client, tests in COVERED.items()} == dict.fromkeys(
        COVERED, len(TOPICS)
    )


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_test_that_is_named_is_there_and_runs_on_both_brokers(claim: str) -> None:
    file, _, name = claim.partition("::")
    tree = ast.parse((ROOT / "tests" / "interop" / file).read_text())
    (function,) = [each for each in ast.walk(tree) if getattr(each, "name", None) == name]
    assert isinstance(function, ast.FunctionDef)
    assert "target" in [argument.arg for argument in function.args.args]
