"""A synthetic trading day as a CSV file: the same seed and size give the same bytes.

Several symbols with prices on the tick grid of the Korean exchange, a busy open and close, and
bursts in which hundreds of trades share a few milliseconds. Invented: no symbol is a real issue.
"""

import random
from collections.abc import Iterator
from typing import Final

HEADER: Final = "recv_ns,symbol,event_ms,trade_id,price,qty,side\n"
DEFAULT_ROWS: Final = 250_000

_OPEN_MS: Final = 1_767_571_200_000  # 2026-01-05 00:00 UTC, which is 09:00 in Seoul
_SESSION_MS: Final = 23_400_000  # 09:00 to 15:30
_START_PRICES: Final = (1_235, 4_170, 12_340, 38_450, 71_300, 184_500, 412_000, 987_000)
# Prices from this one on move by this step (won; the grid in force since 2023).
_TICK_GRID: Final = (
    (500_000, 1_000), (200_000, 500), (50_000, 100), (20_000, 50), (5_000, 10), (2_000, 5), (0, 1),
)  # fmt: skip


def tick_size(price: int) -> int:
    """The price step in won at ``price``."""
    return next(step for floor, step in _TICK_GRID if price >= floor)


def synthetic_day(seed: int, rows: int) -> Iterator[str]:
    """The header, then ``rows`` lines in the order of receipt, each ending in a newline."""
    rng = random.Random(seed)  # noqa: S311  # reproducible on purpose, never for secrets
    prices = list(_START_PRICES)
    symbols = [f"TAPE{index:03d}" for index in range(len(prices))]
    busy = [rng.random() + 0.1 for _ in symbols]
    trade_ids = [rng.randrange(1_000_000) for _ in symbols]
    choices, below, pick = rng.choices, rng.randrange, range(len(symbols))
    recv_ns = 0
    yield HEADER
    for event_us in _moments(rng, rows):
        index = choices(pick, busy)[0]
        price = prices[index]
        step = tick_size(price)
        drift = below(9)
        if drift < 3:
            price = max(price + (drift - 1) * step, 100)
            price -= price % tick_size(price)
            prices[index] = price
        trade_ids[index] += 1
        recv_ns = max(recv_ns + 1, event_us * 1000 + 180_000 + below(400_000))
        yield (
            f"{recv_ns},{symbols[index]},{event_us // 1000},{trade_ids[index]},{price},"
            f"{1 + below(40) * below(25)},{'BS'[below(2)]}\n"
        )


def _moments(rng: random.Random, rows: int) -> Iterator[int]:
    """Rising event times in microseconds: a calm day with a busy open and close, and bursts."""
    at_us = float(_OPEN_MS * 1000)
    end_us = at_us + _SESSION_MS * 1000
    burst_left = 0
    for done in range(rows):
        if burst_left == 0 and rng.random() < 0.002:
            burst_left = min(rng.randrange(50, 600), rows - done)
        if burst_left:
            burst_left -= 1
            at_us += rng.expovariate(1 / 20)  # a trade each 20 us
        else:
            through = done / rows
            calm = 0.35 if through < 0.08 or through > 0.93 else 1.6
            at_us += rng.expovariate(1) * calm * (end_us - at_us) / (rows - done)
        at_us = min(at_us, end_us)
        yield int(at_us)
