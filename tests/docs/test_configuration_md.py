"""Every property of Apache Kafka 4.3 is known, with its type and default, and the page lists it."""

import json
from pathlib import Path

from codegen.configuration import PAGE, page

from tickertape.broker.api.topic_catalog import TOPIC_CATALOG
from tickertape.broker.state.topic_configs import checked, described
from tickertape.config.broker import KEYS, PREFIXES
from tickertape.config.broker_catalog import BROKER_CATALOG
from tickertape.log.config import LogConfig

KAFKA = json.loads((Path(__file__).parents[1] / "golden/kafka/configs-4.3.json").read_text())
OURS = {
    "group.initial.rebalance.delay.ms": "an embedded broker rarely waits for a fleet",
    "listener.security.protocol.map": "the same, in another order",
    "log.dir": "the data directory of the command",
    "log.flush.interval.ms": "a second, with --fsync interval",
    "num.recovery.threads.per.data.dir": "16: each log waits for the disk several times",
}
"""Broker properties whose defaults are others than Kafka's, with the reason."""


def test_every_topic_property_of_kafka_is_known_with_its_type_and_default() -> None:
    logs = described(LogConfig())
    ours = {
        name: [known.kind, logs.get(name, known.default)] for name, known in TOPIC_CATALOG.items()
    }
    assert ours == KAFKA["topic"]
    for name, (_, default) in KAFKA["topic"].items():
        assert checked({name: default}) == {name: default}


def test_every_broker_property_of_kafka_is_known_with_its_type_and_default() -> None:
    ours = {name: list(known) for name, known in BROKER_CATALOG.items()}
    extra = {name for name in ours.keys() - KAFKA["broker"].keys() if not name.startswith("tape.")}
    assert extra == set()
    assert KAFKA["broker"].keys() - ours.keys() == set()
    others = {name for name, known in KAFKA["broker"].items() if ours[name] != known}
    assert others == OURS.keys()


def test_a_file_may_set_every_broker_property() -> None:
    keys = {key.name for key in KEYS}
    strangers = {
        name
        for name in KAFKA["broker"]
        if name not in keys and not name.startswith(tuple(PREFIXES))
    }
    assert strangers == set()


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == page(), "run make codegen"
