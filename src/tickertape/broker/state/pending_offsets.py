"""Offsets that were committed inside transactions which are still open (Kafka: C5 of KIP-447).

They become the group's when the transaction's commit marker is durable, and vanish with an abort.
A plain commit that comes after one of them wins, also if the transaction is committed later.
"""

from uuid import UUID

from tickertape.broker.state.offset_records import Committed, TopicIndex

Place = tuple[int, int]
"""Producer id, and partition of ``__consumer_offsets``: what one marker ends."""


class PendingOffsets:
    """See the module. ``None`` in the place of an offset: a later plain commit has replaced it."""

    def __init__(self) -> None:
        self._pending: dict[Place, dict[str, dict[TopicIndex, Committed | None]]] = {}

    def put(
        self, place: Place, group_id: str, where: TopicIndex, committed: Committed
    ) -> Committed | None:
        """It is being appended in the transaction; what was pending there before."""
        offsets = self._pending.setdefault(place, {}).setdefault(group_id, {})
        older = offsets.get(where)
        offsets[where] = committed
        return older

    def of_group(self, group_id: str) -> set[TopicIndex]:
        """The offsets that transactions are about to change."""
        return {where for groups in self._pending.values() for where in groups.get(group_id, ())}

    def group_ids(self) -> list[str]:
        """The groups that transactions concern."""
        return [group_id for groups in self._pending.values() for group_id in groups]

    def has_group(self, group_id: str) -> bool:
        """True if any transaction concerns the group."""
        return any(group_id in groups for groups in self._pending.values())

    def of(self, group_id: str, where: TopicIndex) -> list[Committed]:
        """What transactions would make of it now, to be ``replaced``."""
        found = (groups.get(group_id, {}).get(where) for groups in self._pending.values())
        return [committed for committed in found if committed is not None]

    def replaced(self, group_id: str, where: TopicIndex, older: list[Committed]) -> None:
        """A plain commit is durable that came after these."""
        for groups in self._pending.values():
            offsets = groups.get(group_id, {})
            if any(offsets.get(where) is committed for committed in older):
                offsets[where] = None

    def drop(
        self, place: Place, group_id: str, where: TopicIndex, committed: Committed,
        older: Committed | None,
    ) -> None:  # fmt: skip
        """It could not be stored: what was pending before counts again."""
        groups = self._pending.get(place, {})
        offsets = groups.get(group_id, {})
        if offsets.get(where) is not committed:
            return
        if older is not None:
            offsets[where] = older
            return
        del offsets[where]
        if not offsets:
            del groups[group_id]

    def of_topic(self, topic: str) -> list[tuple[str, TopicIndex]]:
        """(group, partition) of every offset in ``topic``."""
        return [
            (group_id, where)
            for groups in self._pending.values()
            for group_id, offsets in groups.items()
            for where in offsets
            if where[0] == topic
        ]

    def topics(self) -> set[str]:
        """Topics in which transactions would commit offsets."""
        every = (offsets for groups in self._pending.values() for offsets in groups.values())
        return {topic for offsets in every for topic, _ in offsets}

    def forget_strangers(self, topic: str, topic_id: UUID) -> None:
        """Offsets of an earlier topic of that name do not come with the transaction's end."""
        for groups in self._pending.values():
            for offsets in groups.values():
                for where, committed in list(offsets.items()):
                    if where[0] == topic and committed and not committed.may_be_of(topic_id):
                        del offsets[where]

    def forget(self, group_id: str, where: TopicIndex) -> None:
        """A tombstone is durable: no transaction brings this offset back."""
        for groups in self._pending.values():
            groups.get(group_id, {}).pop(where, None)

    def end(self, place: Place) -> list[tuple[str, TopicIndex, Committed]]:
        """The transaction's marker is durable: what it had pending there is handed over."""
        return [
            (group_id, where, committed)
            for group_id, offsets in self._pending.pop(place, {}).items()
            for where, committed in offsets.items()
            if committed is not None
        ]
