"""What must hold of everything that was read at the end, given what the clients were told.

Each check is a promise of the broker; the first that is broken raises ViolationError.
"""

from collections.abc import Iterator
from uuid import UUID

from tests.simulation.audit import Auditor, Copy
from tests.simulation.consumers import Read
from tests.simulation.model import Model, Sent, Txn
from tests.simulation.server import Server
from tests.simulation.verdict import demand

RETENTION_BYTES = 1_500


def check_all(audit: Auditor, model: Model) -> None:
    """The whole catalogue."""
    for copy in audit.copies.values():
        kind = model.topics[copy.where[0]].kind
        check_records(copy, model)
        check_epochs(copy, model)
        if kind == "volatile":
            check_deleted_topic(copy, model, audit.topic_ids[copy.where[0]])
        else:
            check_start(copy, model)
            check_acked(copy, model)
        if kind in {"plain", "retained"}:
            check_dense(copy)
            check_seen(copy, model)
    check_transactions(audit, model)
    check_transactional_offsets(audit, model)


def name(copy: Copy) -> str:
    return f"{copy.where[0]}-{copy.where[1]}"


def known(copy: Copy, model: Model) -> Iterator[tuple[Read, Sent]]:
    """What was read, with what was sent."""
    for read in copy.everything:
        sent = model.sent.get(read.value)
        assert sent is not None
        yield read, sent


# -- one partition


def check_records(copy: Copy, model: Model) -> None:
    """Every record was sent, to here, and is there once; each producer's are in its order."""
    values: dict[str, int] = {}
    orders: dict[tuple[int, int], Sent] = {}
    epochs: dict[int, Sent] = {}
    kind = model.topics[copy.where[0]].kind
    for read in copy.everything:
        sent = model.sent.get(read.value)
        demand(sent is not None, f"{name(copy)} holds {read.value!r}, which nobody sent")
        assert sent is not None
        demand(sent.where == copy.where, f"{sent} is in {name(copy)}")
        before = values.setdefault(read.value, read.offset)
        demand(before == read.offset, f"{sent} is there twice, at {before} and {read.offset}")
        header = read.header
        stored = (header.producer_id, header.producer_epoch)
        demand(stored == sent.owner, f"{sent} of {sent.owner} is stored as of {stored}")
        last = orders.get(sent.owner)
        if last is not None:
            demand(sent.order > last.order, f"{sent} comes after {last}")
            if kind in {"plain", "retained"}:
                demand(sent.order == last.order + 1, f"between {last} and {sent} one is missing")
        orders[sent.owner] = sent
        older = epochs.setdefault(sent.owner[0], sent)
        demand(sent.owner[1] >= older.owner[1], f"{sent} of a zombie comes after {older}")
        epochs[sent.owner[0]] = sent
        if sent.txn is not None:
            check_not_fenced(sent, model)


def check_not_fenced(sent: Sent, model: Model) -> None:
    """It was first sent before a newer owner of the transactional id was let in."""
    for epoch, since in model.owned_since.get(sent.producer.partition("@")[0], []):
        fenced = epoch > sent.owner[1] and since < sent.sent
        demand(not fenced, f"{sent} was written by a zombie: epoch {epoch} owned the id already")


def check_epochs(copy: Copy, model: Model) -> None:
    """Leader epochs ascend, an unclean start begins a new one, and the broker tells their ends."""
    last = None
    for batch in copy.batches:
        epoch = batch.partition_leader_epoch
        demand(epoch >= (last or 0), f"{name(copy)}: leader epoch {epoch} comes after {last}")
        if last is not None and epoch > last:
            end = copy.epoch_ends[last]
            ends = f"{name(copy)}: epoch {last} ends at {end}, {epoch} is at {batch.base_offset}"
            demand(end <= batch.base_offset, ends)
        demand(copy.epoch_ends[epoch] > batch.base_offset, f"{name(copy)}: epoch {epoch} is short")
        last = epoch
    sure: tuple[int, int, Sent] | None = None  # life, epoch, and who shows it
    if model.topics[copy.where[0]].kind == "volatile":
        return
    for read, sent in known(copy, model):
        if sent.acked is None or sent.acked_life != sent.life:
            continue
        epoch = read.header.partition_leader_epoch
        if sure is not None and sent.life > sure[0]:
            demand(
                epoch > sure[1],
                f"{sent} has leader epoch {epoch} as {sure[2]} has, before an unclean start",
            )
        sure = (sent.life, epoch, sent)


def check_start(copy: Copy, model: Model) -> None:
    """The log begins where DeleteRecords and retention let it, and no earlier."""
    marks = model.marks_of(copy.where)
    asked, answered = marks.deletable_below, marks.deleted_below
    demand(copy.start >= answered, f"{name(copy)} begins at {copy.start}, deleted below {answered}")
    if copy.start <= asked:
        return
    demand(
        model.topics[copy.where[0]].kind == "retained" and copy.bytes >= RETENTION_BYTES,
        f"{name(copy)} begins at {copy.start} with {copy.bytes} bytes, deleted below {asked}",
    )


def check_acked(copy: Copy, model: Model) -> None:
    """What was acknowledged is there, at its offset, or something newer explains its absence."""
    by_offset = {read.offset: read.value for read in copy.everything}
    newest = {read.record.key: read.offset for read in copy.committed}
    compacted = model.topics[copy.where[0]].kind == "compacted"
    shown = {read.value for read in copy.committed}
    for sent in model.sent.values():
        if sent.where != copy.where or sent.acked is None or sent.offset < copy.start:
            continue
        found = by_offset.get(sent.offset)
        if found == sent.value:
            continue
        demand(compacted and found is None, f"{sent}: there is {found!r}")
        newer = newest.get(sent.key.encode(), -1) > sent.offset
        undone = sent.txn is not None and not was_committed(sent.txn, shown)
        demand(newer or undone, f"{sent} is gone, and its key {sent.key} has nothing newer")


def was_committed(txn: Txn, shown: set[str]) -> bool:
    """For a partition where all of it may have been compacted away, what was asked decides."""
    return txn.answered and txn.asked == "commit"


def check_dense(copy: Copy) -> None:
    """Each offset is a record or a marker."""
    following = copy.start
    for batch in copy.batches:
        demand(batch.base_offset <= following, f"{name(copy)} has no offset {following}")
        following = batch.next_offset
    demand(following == copy.end, f"{name(copy)} ends at {following}, says {copy.end}")


def check_seen(copy: Copy, model: Model) -> None:
    """What a consumer has read is there still."""
    offsets = {read.offset for read in copy.everything}
    for offset, value in model.marks_of(copy.where).seen.items():
        there = offset < copy.start or offset in offsets
        demand(there, f"{name(copy)}: {value!r} was read at {offset} and is gone")


def check_deleted_topic(copy: Copy, model: Model, topic_id: UUID | None) -> None:
    """Of a topic that was deleted nothing comes back; what the present one took is there."""
    topic = model.topics[copy.where[0]]
    deleted = max((asked for asked, done in topic.deletions if done is not None), default=-1)
    for _, sent in known(copy, model):
        meant = sent.topic_id
        demand(meant in {None, topic_id}, f"{sent}, sent to topic {meant}, is in {topic_id}")
        # Who names topics has no say: what was sent twice may have arrived once in each of them.
        dead = sent.acked is not None and sent.acked < deleted and not sent.sent_again
        demand(not dead, f"{sent} has come back from a deleted topic")
    held = {read.value: read.offset for read in copy.everything}
    for sent in model.sent.values():
        if sent.where == copy.where and sent.acked is not None:
            older = sent.sent <= topic.created_steps[-1] and sent.topic_id != topic_id
            demand(older or held.get(sent.value) == sent.offset, f"{sent} is not there")


# -- across partitions


def check_transactions(audit: Auditor, model: Model) -> None:
    """Each is visible as a whole or not at all, as it was answered; none is undecided."""
    shown: set[str] = set()
    for copy in audit.copies.values():
        demand(copy.stable == copy.end, f"{name(copy)}: stable to {copy.stable} of {copy.end}")
        committed = {read.value for read in copy.committed}
        shown |= committed
        for read, sent in known(copy, model):
            if sent.txn is None:
                demand(read.value in committed, f"{sent} is hidden from read_committed")
    for txn, records in surviving(audit, model).items():
        seen = [sent for sent in records if sent.value in shown]
        if txn.asked != "commit":
            demand(not seen, f"{txn} was to {txn.asked}, but {seen[:1]} is visible")
        elif txn.answered:
            missing = [str(sent) for sent in records if sent.value not in shown]
            demand(not missing, f"{txn} was committed, but {missing[:1]} is not visible")
        else:
            demand(len(seen) in {0, len(records)}, f"{txn} is visible in part: {len(seen)}")


def surviving(audit: Auditor, model: Model) -> dict[Txn, list[Sent]]:
    """The acknowledged records of each transaction that nothing may have taken away."""
    found: dict[Txn, list[Sent]] = {}
    for sent in model.sent.values():
        if sent.txn is None or sent.acked is None:
            continue
        if model.topics[sent.where[0]].kind not in {"plain", "retained"}:
            continue
        if sent.offset >= audit.copies[sent.where].start:
            found.setdefault(sent.txn, []).append(sent)
    return found


def check_transactional_offsets(audit: Auditor, model: Model) -> None:
    """A group's offset is that of the last transaction that committed, with its records."""
    shown = {read.value for copy in audit.copies.values() for read in copy.committed}
    records = surviving(audit, model)
    for (group, where), attempts in model.commits.items():
        txns = [attempt.txn for attempt in attempts if attempt.txn is not None]
        if not txns:
            continue
        legal = {-1}
        for txn in sorted(txns, key=lambda txn: (txn.epoch, txn.number)):
            assert txn.group_offset is not None
            if txn.asked != "commit":
                continue
            offset = txn.group_offset[2]
            if txn.answered or any(sent.value in shown for sent in records.get(txn, [])):
                legal = {offset}
            elif not records.get(txn):
                legal.add(offset)
        found = audit.offsets[group, where]
        demand(found in legal, f"{group} at {where}: got offset {found}, want {sorted(legal)}")


# -- the process


def check_nothing_is_left(audit: Auditor, server: Server) -> None:
    """No wait, member or unsynced log outlives those who caused it."""
    broker = server.broker
    assert broker is not None
    demand(not len(broker.fetch_waits), f"{len(broker.fetch_waits)} fetches wait for ever")
    demand(not len(broker.durability.waits), f"{len(broker.durability.waits)} answers are owed")
    demand(not broker.dirty(), f"never synced: {[log.folder for log in broker.dirty()]}")
    demand(not server.failed_logs, f"{server.failed_logs} logs are failed on a sound disk")
    demand(not audit.undecided, f"transactions that nobody ends: {audit.undecided}")
    demand(not audit.busy, f"groups that are listed as busy: {audit.busy}")
    left = {group: count for group, count in audit.members.items() if count}
    demand(not left, f"groups with members that are long gone: {left}")
