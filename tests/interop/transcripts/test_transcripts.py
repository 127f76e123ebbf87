"""The same script of bare requests to Apache Kafka and to our broker: the answers are equal.

What differs stands in docs/kafka.md with its reason; a row there that is no longer so fails too.
"""

import uuid
from typing import Final

import pytest
from tests.interop.harness import Broker
from tests.interop.transcripts import (
    admin,
    consumer_groups,
    groups,
    produce,
    read,
    topic_ids,
    transactions,
)
from tests.interop.transcripts.compare import (
    DOCS,
    differences,
    documented,
    stale,
    unexplained,
)
from tests.interop.transcripts.player import Player, Scenario, Step

pytestmark = [pytest.mark.real, pytest.mark.timeout(240), pytest.mark.xdist_group("apache")]

SCENARIOS: Final[dict[str, Scenario]] = {
    **produce.SCENARIOS,
    **read.SCENARIOS,
    **transactions.SCENARIOS,
    **groups.SCENARIOS,
    **consumer_groups.SCENARIOS,
    **topic_ids.SCENARIOS,
    **admin.SCENARIOS,
}


def transcript(scenario: Scenario, broker: Broker, run: str) -> list[Step]:
    play = Player(broker, run)
    try:
        scenario(play)
    finally:
        play.close()
    return play.steps


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_answers_are_those_of_apache_kafka(
    name: str, tickertape_broker: Broker, apache_kafka: Broker
) -> None:
    run = uuid.uuid4().hex[:8]
    theirs = transcript(SCENARIOS[name], apache_kafka, run)
    ours = transcript(SCENARIOS[name], tickertape_broker, run)
    assert theirs
    found = differences(theirs, ours)
    known = [row for row in documented(DOCS.read_text()) if row.scenario == name]
    assert not unexplained(found, known), "\n".join(map(str, unexplained(found, known)))
    assert not stale(found, known), f"docs/kafka.md lists what is equal: {stale(found, known)}"


def test_every_row_names_a_scenario() -> None:
    assert {row.scenario for row in documented(DOCS.read_text())} <= set(SCENARIOS)
