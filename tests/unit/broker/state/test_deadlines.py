"""Deadlines by name: the last one set counts, and memory does not grow with those before it."""

from tickertape.broker.state.deadlines import Deadlines
from tickertape.broker.state.waits import NEVER_MS


def test_each_name_is_due_once_at_its_last_deadline() -> None:
    deadlines = Deadlines()
    deadlines.set("a", 5)
    deadlines.set("b", 3)
    deadlines.set("a", 4)
    assert deadlines.next_ms() == 3
    assert deadlines.take(2) == []
    assert deadlines.take(4) == ["b", "a"]
    assert "a" not in deadlines
    assert deadlines.take(9) == []
    deadlines.set("a", 7)
    deadlines.drop("a")
    assert deadlines.take(9) == []
    assert deadlines.next_ms() == NEVER_MS


def test_a_thousand_transactions_that_ended_in_time_leave_nothing() -> None:
    deadlines = Deadlines()
    for number in range(10_000):
        deadlines.set("tx", 900_000 + number)
        deadlines.drop("tx")
    assert len(deadlines) <= 110
    deadlines.set("tx", 1)
    assert deadlines.take(1) == ["tx"]
