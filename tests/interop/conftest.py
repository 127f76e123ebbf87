"""Fixtures of the interop suite: one broker of each kind per session, and `target`, either of them.

A test on `target` runs against our broker in the default suite and, marked real, against Apache
Kafka too: what passes there and fails here is our fault.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.harness import ApacheKafka, Broker, Tickertape


@pytest.fixture(scope="session")
def tickertape_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    yield from _running(Tickertape(tmp_path_factory.mktemp("tickertape")))


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    yield from _running(ApacheKafka(tmp_path_factory.mktemp("apache")))


def _running(broker: Broker) -> Iterator[Broker]:
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


APACHE = pytest.param("apache_kafka", marks=[pytest.mark.real, pytest.mark.xdist_group("apache")])


@pytest.fixture(params=["tickertape_broker", APACHE], ids=["tickertape", "apache"])
def target(request: pytest.FixtureRequest) -> Broker:
    broker = request.getfixturevalue(request.param)
    assert isinstance(broker, Broker)
    return broker


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Tickertape]:
    """A broker of ours that a test may stop, kill and restart as it likes."""
    broker = Tickertape(tmp_path)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
