"""Each planted bug is found within few seeds."""

import pytest
from tests.simulation import saboteurs
from tests.simulation.run import simulate

from tickertape.broker.state.broker import Broker

SEEDS_MAX = 60
KINDS = [
    kind
    for kind in vars(saboteurs).values()
    if isinstance(kind, type) and issubclass(kind, Broker) and kind is not Broker
]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_it_is_found(kind: type[Broker]) -> None:
    for seed in range(SEEDS_MAX):
        try:
            simulate(seed, kind=kind)
        except AssertionError:  # a ViolationError, or a task that never ends
            return
    pytest.fail(f"{kind.__doc__} {SEEDS_MAX} seeds did not notice")
