"""Writes docs/configuration.md: what each of Kafka's properties does here. ``make codegen``."""

from pathlib import Path

from tickertape.broker.api.described_configs import why_of_broker_config
from tickertape.broker.api.topic_catalog import TOPIC_CATALOG
from tickertape.broker.state.topic_configs import described
from tickertape.config.broker_catalog import BROKER_CATALOG
from tickertape.log.config import LogConfig

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
_INTRODUCTION = """\
# Configuration

Every property of a topic and of a broker that Apache Kafka 4.3 knows is known here, in
`server.properties`, on the command line (`--override`) and to the admin APIs; a test compares the
list with one taken from a running Kafka. This page is made by `make codegen` from the tables that
DescribeConfigs answers from. Defaults are Kafka's, but for five, which the test names.

Kafka's Java classes cannot be loaded: a property that names one has no effect, unless it is said
below what it means.
"""


def page() -> str:
    """The whole page."""
    logs = described(LogConfig())
    topics = [
        (name, logs.get(name, known.default), known.why) for name, known in TOPIC_CATALOG.items()
    ]
    brokers = [
        (name, default, why_of_broker_config(name)) for name, (_, default) in BROKER_CATALOG.items()
    ]
    idle = "Kept, without effect: "
    idle_broker = "Accepted, without effect: "
    return "\n".join([
        _INTRODUCTION,
        "## Topics",
        *_table([row for row in topics if not row[2].startswith(idle)], ""),
        "### Kept, without effect",
        *_table([row for row in topics if row[2].startswith(idle)], idle),
        "## The broker",
        *_table([row for row in brokers if not row[2].startswith(idle_broker)], ""),
        "### Accepted, without effect",
        *_table([row for row in brokers if row[2].startswith(idle_broker)], idle_broker),
    ]).rstrip("\n") + "\n"  # fmt: skip


def _table(rows: list[tuple[str, str | None, str]], prefix: str) -> list[str]:
    lines = ["", f"| property | default | {'why' if prefix else 'meaning'} |", "|---|---|---|"]
    for name, default, text in rows:
        shown = f"`{default}`" if default else ""
        lines.append(f"| `{name}` | {shown} | {text.removeprefix(prefix)} |")
    return [*lines, ""]


if __name__ == "__main__":
    PAGE.write_text(page())
