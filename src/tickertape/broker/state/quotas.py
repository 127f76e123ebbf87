"""Client quotas (KIP-13, KIP-546): how many bytes a second a user, a client id or both may move.

What applies is Kafka's choice: the most specific quota that is set, users before client ids (see
_CHOICES). Each holder of one has a budget of ten seconds' worth (quota.window.num - 1 windows of
quota.window.size.seconds); who has spent more is told how long to wait, and is not read from until
then (KIP-219). Free when none is set: ``is_active`` is all that is asked.
"""

from typing import Final

from tickertape.base.ports import Clock
from tickertape.broker.state.security import Entity, Security

PRODUCER: Final = "producer_byte_rate"
CONSUMER: Final = "consumer_byte_rate"
KEYS: Final = frozenset({PRODUCER, CONSUMER})
USER: Final = "user"
CLIENT: Final = "client-id"
_WINDOW_S: Final = 10
_BUDGETS_MAX: Final = 10_000
_WAIT_MS_MAX: Final = 2**31 - 1  # what throttle_time_ms can say
_KIND: Final = "User:"

# Whether a quota names user and client id, or is the default of them, or says nothing: for both,
# in the order in which they are looked for. Who has one shares it with nobody who differs in what
# it speaks of: a quota of a user is shared by all its clients.
_OWN, _DEFAULT, _SILENT = 0, 1, 2
_CHOICES: Final = (
    (_OWN, _OWN),
    (_OWN, _DEFAULT),
    (_OWN, _SILENT),
    (_DEFAULT, _OWN),
    (_DEFAULT, _DEFAULT),
    (_DEFAULT, _SILENT),
    (_SILENT, _OWN),
    (_SILENT, _DEFAULT),
)
Holder = tuple[str, str | None, str | None]


class _Budget:
    """A bucket that leaks at the allowed rate; ``spent`` is what is in it."""

    __slots__ = ("at_ms", "empty_ms", "spent")

    def __init__(self, now_ms: int) -> None:
        self.spent = 0.0
        self.at_ms = now_ms
        self.empty_ms = 0.0  # when everything will have leaked


class Quotas:
    """See the module."""

    def __init__(self, security: Security, clock: Clock) -> None:
        self._security = security
        self._clock = clock
        self._budgets: dict[Holder, _Budget] = {}
        self._forget_at = _BUDGETS_MAX  # so many budgets

    def __len__(self) -> int:
        """How many holders are remembered."""
        return len(self._budgets)

    @property
    def is_active(self) -> bool:
        """Some quota is set."""
        return bool(self._security.quotas)

    def charge(self, key: str, principal: str, client_id: str | None, amount: int) -> int:
        """Spend ``amount`` bytes; how many ms the client has to wait for it, mostly 0."""
        found = self._quota(key, principal.removeprefix(_KIND), client_id or "")
        if found is None:
            return 0
        holder, rate = found
        now_ms = self._clock.monotonic_ms()
        budget = self._budgets.get(holder)
        if budget is None:
            if len(self._budgets) >= self._forget_at:
                self._forget(now_ms)
            budget = self._budgets[holder] = _Budget(now_ms)
        leaked = rate * (now_ms - budget.at_ms) / 1000
        budget.spent = max(0.0, budget.spent - leaked) + amount
        budget.at_ms = now_ms
        budget.empty_ms = now_ms + budget.spent * 1000 / rate
        over = budget.spent - rate * _WINDOW_S
        return min(int(over * 1000 / rate) + 1, _WAIT_MS_MAX) if over > 0 else 0

    def _quota(self, key: str, user: str, client_id: str) -> tuple[Holder, float] | None:
        quotas = self._security.quotas
        for of_user, of_client in _CHOICES:
            entity = _entity(of_user, user, of_client, client_id)
            rate = quotas.get(entity, {}).get(key)
            if rate is not None:
                speaks_of_user = None if of_user == _SILENT else user
                return (key, speaks_of_user, None if of_client == _SILENT else client_id), rate
        return None

    def _forget(self, now_ms: int) -> None:
        """Who has paid for everything. Client ids cost nothing to make up: not at each request."""
        self._budgets = {
            holder: budget for holder, budget in self._budgets.items() if budget.empty_ms > now_ms
        }
        self._forget_at = max(_BUDGETS_MAX, 2 * len(self._budgets))


def _entity(of_user: int, user: str, of_client: int, client_id: str) -> Entity:
    """As Security keeps them: by type, in the order of the alphabet."""
    parts: list[tuple[str, str | None]] = []
    if of_client != _SILENT:
        parts.append((CLIENT, client_id if of_client == _OWN else None))
    if of_user != _SILENT:
        parts.append((USER, user if of_user == _OWN else None))
    return tuple(parts)
