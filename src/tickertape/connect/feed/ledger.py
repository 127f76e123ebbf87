"""Counts what was sent, acknowledged and received, by content alone: no offset is looked at.

Each message is known by the 64-bit hash of its value (SipHash, keyed afresh in each process), 8
bytes of memory per message and list. Values that occur several times in the input are expected
as many times. The columns are those of Vanlightly's dedup test, on which the stress test of this
project's notebook is built.
"""

from array import array
from collections import Counter
from dataclasses import asdict, dataclass

_BUCKETS = 256  # compared one at a time, so that a counter never holds the whole day


@dataclass(frozen=True, slots=True)
class Ledger:
    """The eight counters, named as in the notebook (section 4).

    ``SendCount`` messages were handed to the producer, ``AckCount`` = ``PosAckCount`` +
    ``NegAckCount`` were reported on. Of the expected values ``Received`` copies were found;
    ``NotReceived`` acknowledged copies were not; ``ReceivedNoAck`` were found although nobody
    acknowledged them; ``MsgsWithDups`` values were found more often than they were sent.
    """

    SendCount: int
    AckCount: int
    PosAckCount: int
    NegAckCount: int
    Received: int
    NotReceived: int
    ReceivedNoAck: int
    MsgsWithDups: int

    @property
    def clean(self) -> bool:
        """Everything that was sent was acknowledged and found exactly once."""
        return self.Received == self.SendCount == self.PosAckCount and not (
            self.NegAckCount or self.NotReceived or self.ReceivedNoAck or self.MsgsWithDups
        )

    def to_json(self) -> dict[str, int]:
        """The counters by name, in the notebook's order."""
        return asdict(self)


class Tally:
    """Collects values of three kinds; ``ledger`` compares them."""

    def __init__(self) -> None:
        self._sent = _Bag()
        self._acked = _Bag()
        self._received = _Bag()
        self.negative = 0
        # Bound once: they are called for every message.
        self.sent = self._sent.add
        self.acked = self._acked.add
        self.received = self._received.add

    @property
    def sent_count(self) -> int:
        """Messages sent so far."""
        return self._sent.count()

    @property
    def acked_count(self) -> int:
        """Messages acknowledged positively so far."""
        return self._acked.count()

    def ledger(self) -> Ledger:
        """The counters as they stand."""
        received = not_received = unacked = doubled = 0
        for bucket in range(_BUCKETS):
            sent = Counter(self._sent.buckets[bucket])
            acked = Counter(self._acked.buckets[bucket])
            found = Counter(self._received.buckets[bucket])
            for value, copies in sent.items():
                got, ours = found[value], acked[value]
                received += got
                not_received += max(0, ours - got)
                unacked += max(0, min(got, copies) - ours)
                doubled += got > copies
        positive = self.acked_count
        return Ledger(
            SendCount=self.sent_count,
            AckCount=positive + self.negative,
            PosAckCount=positive,
            NegAckCount=self.negative,
            Received=received,
            NotReceived=not_received,
            ReceivedNoAck=unacked,
            MsgsWithDups=doubled,
        )


class _Bag:
    """A multiset of hashes."""

    def __init__(self) -> None:
        self.buckets = [array("q") for _ in range(_BUCKETS)]
        self._adders = [bucket.append for bucket in self.buckets]

    def add(self, value: bytes) -> None:
        """One more copy of ``value``."""
        digest = hash(value)
        self._adders[digest & (_BUCKETS - 1)](digest)

    def count(self) -> int:
        """Copies of all values."""
        return sum(map(len, self.buckets))
