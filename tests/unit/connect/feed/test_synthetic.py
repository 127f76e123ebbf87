"""The synthetic day: the same bytes for the same seed, and it looks like a trading day."""

from collections import Counter

from tickertape.connect.feed.synthetic import HEADER, synthetic_day, tick_size


def test_same_seed_same_day_other_seed_another() -> None:
    assert list(synthetic_day(7, 500)) == list(synthetic_day(7, 500))
    assert list(synthetic_day(7, 500)) != list(synthetic_day(8, 500))


def test_a_day_has_symbols_bursts_and_prices_on_the_tick_grid() -> None:
    lines = list(synthetic_day(1, 20_000))
    assert lines[0] == HEADER
    rows = [line.rstrip("\n").split(",") for line in lines[1:]]
    assert len(rows) == 20_000
    assert len({row[1] for row in rows}) == 8
    assert all(int(row[4]) % tick_size(int(row[4])) == 0 for row in rows)
    received = [int(row[0]) for row in rows]
    assert received == sorted(set(received))
    busiest = Counter(row[2] for row in rows).most_common(1)[0][1]
    assert busiest > 20, "a burst puts many trades into one millisecond"
    hours = (received[-1] - received[0]) / 3.6e12
    assert 5 < hours <= 6.51


def test_trade_ids_rise_by_one_per_symbol() -> None:
    last: dict[str, int] = {}
    for line in list(synthetic_day(3, 5000))[1:]:
        _, symbol, _, trade_id, *_ = line.split(",")
        assert int(trade_id) == last.get(symbol, int(trade_id) - 1) + 1
        last[symbol] = int(trade_id)


def test_tick_sizes_of_the_korean_exchange() -> None:
    steps = [tick_size(price) for price in (1_999, 2_000, 5_000, 20_000, 50_000, 200_000, 500_000)]
    assert steps == [1, 5, 10, 50, 100, 500, 1_000]
