"""librdkafka's own mock brokers, in this process: a protocol peer that is not ours."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    """Its address. Topics appear when they are first used, with 4 partitions."""
    host = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = host.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"
    host.purge()
