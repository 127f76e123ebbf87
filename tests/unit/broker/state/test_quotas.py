"""Which quota counts, and how long who has spent it waits."""

import pytest
from tests.unit.broker.harness import DATA_DIR

from tickertape.base.fake_fs import FakeFileSystem
from tickertape.base.fakes import FakeClock, SeededRng
from tickertape.broker.state.quotas import CONSUMER, PRODUCER, Quotas
from tickertape.broker.state.security import Entity, Security

BUDGET_S = 10


class Shop:
    """Quotas of producers, by entity: rate in bytes a second."""

    def __init__(self, quotas: dict[Entity, float]) -> None:
        self.clock = FakeClock()
        security = Security(FakeFileSystem(), DATA_DIR, SeededRng())
        security.quotas = {entity: {PRODUCER: rate} for entity, rate in quotas.items()}
        self.quotas = Quotas(security, self.clock)

    def spend(self, amount: int, user: str = "u", client: str | None = "c") -> int:
        return self.quotas.charge(PRODUCER, f"User:{user}", client, amount)


U, C = ("user", "u"), ("client-id", "c")
ANY_U, ANY_C = ("user", None), ("client-id", None)
ORDER: list[Entity] = [
    (C, U), (ANY_C, U), (U,), (C, ANY_U), (ANY_C, ANY_U), (ANY_U,), (C,), (ANY_C,),
]  # fmt: skip


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_most_specific_quota_counts_in_kafkas_order(first: int) -> None:
    rates = {entity: 1000.0 * (place + 1) for place, entity in enumerate(ORDER)}
    shop = Shop({entity: rates[entity] for entity in ORDER[first:]})
    rate = int(rates[ORDER[first]])
    assert shop.spend(rate * BUDGET_S) == 0
    assert shop.spend(rate) == 1001, "a second's worth too much is a second's wait"


def test_time_pays_and_nobody_waits_for_what_others_spent() -> None:
    shop = Shop({(ANY_U,): 1000.0})
    assert shop.spend(20_000) == 10_001
    assert shop.spend(100, user="other") == 0
    assert shop.spend(100, client="elsewhere") == 10_101, "a user's clients share"
    shop.clock.advance(10_100)
    assert shop.spend(0) == 0
    shop.clock.advance(60_000)
    assert shop.spend(10_000) == 0


def test_clients_have_each_their_own_where_the_quota_speaks_of_them() -> None:
    shop = Shop({(ANY_C,): 1000.0})
    assert shop.spend(20_000, client="a") > 0
    assert shop.spend(1_000, client="b") == 0
    assert shop.spend(20_000, client=None) > 0


def test_no_quota_is_free() -> None:
    shop = Shop({})
    assert not shop.quotas.is_active
    assert shop.spend(1 << 40) == 0
    shop = Shop({(("user", "somebody"),): 1.0})
    assert shop.spend(1 << 40) == 0
    assert shop.quotas.charge(CONSUMER, "User:somebody", "c", 1 << 40) == 0


def test_a_wait_is_one_that_an_answer_can_say() -> None:
    shop = Shop({(U,): 1.0})
    assert shop.spend(1 << 40) == 2**31 - 1


def test_who_still_owes_is_not_forgotten_and_who_has_paid_is() -> None:
    shop = Shop({(ANY_C,): 1.0})
    assert shop.spend(1_000, client="debtor") > 0
    for number in range(15_000):
        shop.spend(1, client=f"made up {number}")
    shop.clock.advance(20_000)
    for number in range(15_000):
        shop.spend(1, client=f"made up later {number}")
    assert len(shop.quotas) == 15_001, "the debtor, and who came later"
    assert shop.spend(1, client="debtor") > 0
