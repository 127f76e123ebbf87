"""Who holds the last stable offset of a partition back, and whether that is in order.

A transaction is open in a partition; its coordinator is asked whether it will ever end it. It
hangs if no transactional id has that producer id and epoch with the partition in an open
transaction: then nobody will. The partition is asked again afterwards, so that one which ended in
between is not blamed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tickertape.client.brokers import KafkaError
from tickertape.client.transactions import (
    Described,
    OpenProducer,
    Place,
    TransactionAdmin,
)
from tickertape.wire.error_codes import ErrorCode

_LIVE: Final = frozenset({"Ongoing", "PrepareCommit", "PrepareAbort"})
GRACE_MS: Final = 60_000
"""So long after its timeout a transaction may still be open: Kafka looks every 10 s."""


OpenAt = tuple[Place, int, int]
"""A transaction in a partition: its place, producer id and start offset."""


class Verdict(StrEnum):
    """What to think of an open transaction."""

    OPEN = "open"  # its producer or its timeout will end it
    OVERDUE = "overdue"  # its coordinator should have ended it
    HANGING = "hanging"  # nobody will end it


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An open transaction.

    ``held_back`` counts the offsets that no read_committed consumer reaches because of it: 0 if
    an older one of the same partition is in the way.
    """

    producer: OpenProducer
    held_back: int
    verdict: Verdict
    age_ms: int
    transaction: Described | None

    @property
    def is_problem(self) -> bool:
        """Not in order."""
        return self.verdict is not Verdict.OPEN


def find_open(admin: TransactionAdmin, topics: Iterable[str] | None, now_ms: int) -> list[Finding]:
    """Every open transaction of these topics, or of all, by partition and offset."""
    leaders = admin.leaders(topics)
    found = admin.open_producers(leaders)
    coordinators = _described(admin, {one.producer_id for one in found})
    suspects = {one.place for one in found if _transaction_of(one, coordinators) is None}
    still = _still_open(admin, suspects)
    ends = admin.ends({node: places for node, places in leaders.items() if places})
    findings = []
    first: set[Place] = set()
    for one in found:
        transaction = _transaction_of(one, coordinators)
        if transaction is None and _open_at(one) not in still:
            continue  # it has ended meanwhile
        end = ends[one.place]
        held_back = 0 if one.place in first else end.high_watermark - end.last_stable_offset
        first.add(one.place)
        started_ms = one.last_timestamp_ms if transaction is None else transaction.started_ms
        age_ms = max(now_ms - started_ms, 0)
        findings.append(
            Finding(
                producer=one,
                held_back=held_back,
                verdict=_verdict(transaction, age_ms),
                age_ms=age_ms,
                transaction=transaction,
            )
        )
    return findings


def _verdict(transaction: Described | None, age_ms: int) -> Verdict:
    if transaction is None:
        return Verdict.HANGING
    return Verdict.OVERDUE if age_ms > transaction.timeout_ms + GRACE_MS else Verdict.OPEN


def _described(admin: TransactionAdmin, producer_ids: set[int]) -> dict[int, Described]:
    """By producer id, what coordinators know of those that are live."""
    if not producer_ids:
        return {}
    found = {}
    for listed in admin.listed(producer_ids=sorted(producer_ids)):
        try:
            one = admin.described(listed.transactional_id)
        except KafkaError as error:
            if error.code is not ErrorCode.TRANSACTIONAL_ID_NOT_FOUND:
                raise
        else:
            found[one.producer_id] = one
    return found


def _transaction_of(one: OpenProducer, known: dict[int, Described]) -> Described | None:
    """The live transaction that this is a part of. Prepare* may have bumped the epoch (v2)."""
    found = known.get(one.producer_id)
    if found is None or found.state not in _LIVE or one.place not in found.partitions:
        return None
    return found if found.producer_epoch >= one.producer_epoch else None


def _still_open(admin: TransactionAdmin, suspects: set[Place]) -> set[OpenAt]:
    """What is open in those partitions now."""
    if not suspects:
        return set()
    leaders = {
        node_id: [place for place in places if place in suspects]
        for node_id, places in admin.leaders({topic for topic, _ in suspects}).items()
    }
    return {_open_at(one) for one in admin.open_producers(leaders)}


def _open_at(one: OpenProducer) -> OpenAt:
    return one.place, one.producer_id, one.start_offset
