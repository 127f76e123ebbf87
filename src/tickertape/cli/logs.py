"""How a long-running command writes its log: lines for people, or one JSON object per line."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

LogFormat: TypeAlias = Literal["text", "json"]

_STANDARD: Final = frozenset(
    {*logging.makeLogRecord({}).__dict__, "asctime", "message", "taskName", "color_message"}
)


class JsonLines(logging.Formatter):
    """``ts`` (UTC), ``level``, ``logger``, ``message``, and ``fields`` and ``trace`` if any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "ts": at.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if fields:
            line["fields"] = fields
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def json_line(logger: str, message: str) -> str:
    """What a command says that has no log of records."""
    record = logging.LogRecord(logger, logging.INFO, "", 0, message, None, None)
    return JsonLines().format(record)


def start_logging(style: str) -> None:
    """Log to stderr from now on; ``style`` is a LogFormat."""
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
