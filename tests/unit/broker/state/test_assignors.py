"""The server-side assignors: complete, exclusive, even, sticky, and equal for equal questions."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tickertape.broker.state.assignors import (
    NOTHING,
    Parts,
    Subscriber,
    range_,
    uniform,
)

A, B, C = (UUID(int=n) for n in (1, 2, 3))

SIZES = st.dictionaries(st.sampled_from([A, B, C]), st.integers(1, 7))
PARTS = st.frozensets(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 8)), max_size=6)
SUBSCRIBER = st.builds(
    Subscriber,
    instance_id=st.none() | st.sampled_from(["i", "j"]),
    topics=st.frozensets(st.sampled_from([A, B, C])),
    before=PARTS,
)
MEMBERS = st.dictionaries(st.sampled_from("klmnop"), SUBSCRIBER, max_size=6)


def reads(*topics: UUID, before: Parts = NOTHING, instance_id: str | None = None) -> Subscriber:
    return Subscriber(instance_id=instance_id, topics=frozenset(topics), before=before)


def shares_of(topic: UUID, found: dict[str, Parts]) -> dict[str, list[int]]:
    return {
        name: sorted(index for of, index in share if of == topic) for name, share in found.items()
    }


@given(members=MEMBERS, sizes=SIZES)
def test_every_partition_has_one_owner_who_reads_it(
    members: dict[str, Subscriber], sizes: dict[UUID, int]
) -> None:
    read = {topic for member in members.values() for topic in member.topics} & sizes.keys()
    want = {(topic, index) for topic in read for index in range(sizes[topic])}
    for assignor in (uniform, range_):
        found = assignor(members, sizes)
        assert found.keys() == members.keys()
        owned = [where for share in found.values() for where in share]
        assert sorted(owned) == sorted(want)
        assert all(where[0] in members[owner].topics for owner in found for where in found[owner])
        assert assignor(dict(reversed(members.items())), sizes) == found


@given(members=MEMBERS, sizes=SIZES)
def test_uniform_cannot_be_made_more_even_by_moving_one_partition(
    members: dict[str, Subscriber], sizes: dict[UUID, int]
) -> None:
    found = uniform(members, sizes)
    for giver, share in found.items():
        for topic, _ in share:
            for taker, other in members.items():
                if topic in other.topics and taker != giver:
                    assert len(found[taker]) + 1 >= len(share)


@given(members=MEMBERS, sizes=SIZES)
def test_uniform_moves_nothing_when_nothing_has_changed(
    members: dict[str, Subscriber], sizes: dict[UUID, int]
) -> None:
    found = uniform(members, sizes)
    again = {
        name: Subscriber(instance_id=member.instance_id, topics=member.topics, before=found[name])
        for name, member in members.items()
    }
    assert uniform(again, sizes) == found


def test_uniform_takes_from_each_no_more_than_a_newcomer_needs() -> None:
    first = uniform({"k": reads(A), "l": reads(A)}, {A: 6})
    members = {name: reads(A, before=share) for name, share in first.items()} | {"m": reads(A)}
    second = uniform(members, {A: 6})
    assert [len(second[name]) for name in "klm"] == [2, 2, 2]
    assert second["k"] < first["k"]
    assert second["l"] < first["l"]


def test_range_gives_contiguous_parts_static_members_first() -> None:
    members = {"a": reads(A, B), "z": reads(A, B, instance_id="i"), "b": reads(A)}
    found = range_(members, {A: 7, B: 3})
    assert shares_of(A, found) == {"z": [0, 1, 2], "a": [3, 4], "b": [5, 6]}
    assert shares_of(B, found) == {"z": [0, 1], "a": [2], "b": []}
