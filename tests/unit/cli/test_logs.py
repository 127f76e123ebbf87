"""JSON logs: one object per line, whatever is in the message."""

import json
import logging
import sys
from typing import Any

from tickertape.cli.logs import JsonLines


def written(message: str, *args: object, error: Exception | None = None, **extra: object) -> Any:  # noqa: ANN401  # JSON
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.getLogger("tickertape.broker").makeRecord(
        "tickertape.broker", logging.WARNING, "x.py", 1, message, args, info, extra=extra
    )
    line = JsonLines().format(record)
    assert "\n" not in line
    return json.loads(line)


def test_a_line_has_time_level_logger_and_message() -> None:
    line = written("cut %d bytes: %s", 12, 'a "torn"\ntail \N{SNOWMAN}')
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "WARNING",
        "logger": "tickertape.broker",
        "message": 'cut 12 bytes: a "torn"\ntail \N{SNOWMAN}',
    }


def test_extra_becomes_fields() -> None:
    assert written("closed", peer="10.0.0.1", bytes=3)["fields"] == {"peer": "10.0.0.1", "bytes": 3}


def test_an_exception_stays_on_the_line() -> None:
    try:
        raise ZeroDivisionError("no such thing")
    except ZeroDivisionError as error:
        line = written("failed", error=error)
    assert "ZeroDivisionError: no such thing" in line["trace"]
    assert sys.modules[__name__].__name__ in line["trace"] or "test_logs" in line["trace"]
