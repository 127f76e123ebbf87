"""Rows go into a topic once, keyed as Java keys them; a second run sends what is missing."""

from collections.abc import Sequence
from itertools import count

import pytest
from confluent_kafka import Message, Producer, murmur2

from tickertape.base.fakes import FakeClock
from tickertape.base.world import SystemClock
from tickertape.connect.feed.ledger import Tally
from tickertape.connect.feed.pump import Destination, FeedError, Progress, Pump, _Pace
from tickertape.connect.feed.resume import (
    RefusedError,
    Standing,
    chained,
    check_rows,
    look_up,
    source_id,
)
from tickertape.connect.feed.rows import Row
from tickertape.connect.topic_reader import TopicReader

PARTITIONS = 4
SOURCE = b"0123456789abcdef"


_names = count()


@pytest.fixture
def topic() -> str:
    return f"ticks-{next(_names)}"


def rows(numbers: Sequence[int], symbols: int = 9) -> list[Row]:
    return [
        Row(n, b"S%d" % (n % symbols), 1_700_000_000_000 + n, b'{"n":"%d"}' % n) for n in numbers
    ]


def pump(
    bootstrap: str, topic: str, content: Sequence[Row], source: bytes = SOURCE
) -> tuple[Pump, Tally]:
    tally = Tally()
    where = Destination(bootstrap=bootstrap, topic=topic, partitions=PARTITIONS)
    sender = Pump(where, source, tally, clock=SystemClock(), watch=lambda _: None)
    sender.run(content, found(bootstrap, topic, source).rows)
    return sender, tally


def found(bootstrap: str, topic: str, source: bytes = SOURCE) -> Standing:
    with TopicReader(bootstrap, clock=SystemClock()) as reader:
        return look_up(reader, topic, source, lambda _: None)


def stored(bootstrap: str, topic: str) -> dict[int, list[Message]]:
    with TopicReader(bootstrap, clock=SystemClock()) as reader:
        return {
            partition: [
                message
                for part in reader.read(topic, partition, *reader.bounds(topic, partition))
                for message in part
            ]
            for partition in range(PARTITIONS)
        }


def test_every_row_is_delivered_once_in_order_with_its_key_time_and_origin(
    bootstrap: str, topic: str
) -> None:
    content = rows(range(2, 3000))
    _, tally = pump(bootstrap, topic, content)
    assert (tally.sent_count, tally.acked_count, tally.negative) == (2998, 2998, 0)
    seen = stored(bootstrap, topic)
    for partition, messages in seen.items():
        numbers = [int(dict(m.headers() or ())["tape.row"] or b"") for m in messages]
        assert numbers == sorted(numbers)
        for number, message in zip(numbers, messages, strict=True):
            want = content[number - 2]
            assert (message.key(), message.value()) == (want.key, want.value)
            assert message.timestamp()[1] == want.timestamp_ms
            assert ("tape.source", SOURCE) in (message.headers() or ())
            assert murmur2(want.key, PARTITIONS) == partition
    assert sum(map(len, seen.values())) == 2998


@pytest.mark.parametrize("key", [b"", b"A", "종목".encode(), b"x" * 301, b"\x00\xff"])
def test_records_land_where_our_own_arithmetic_says(bootstrap: str, topic: str, key: bytes) -> None:
    pump(bootstrap, topic, [Row(2, key, 1, b"{}")])
    landed = [partition for partition, messages in stored(bootstrap, topic).items() if messages]
    assert landed == [murmur2(key, PARTITIONS)]


def test_rows_that_are_there_already_are_not_sent_again(bootstrap: str, topic: str) -> None:
    pump(bootstrap, topic, rows(range(2, 700)))
    sender, tally = pump(bootstrap, topic, rows(range(2, 1000)))
    assert sender.progress.resumed == 698
    assert (tally.sent_count, tally.acked_count) == (998, 998)
    assert sum(map(len, stored(bootstrap, topic).values())) == 998


def test_each_partition_resumes_at_its_own_row(bootstrap: str, topic: str) -> None:
    content = rows(range(2, 500))
    ahead = [row for row in content if murmur2(row.key, PARTITIONS) % 2 or row.line < 100]
    pump(bootstrap, topic, ahead)
    sender, _ = pump(bootstrap, topic, content)
    assert sender.progress.resumed == len(ahead)
    values = [m.value() for messages in stored(bootstrap, topic).values() for m in messages]
    assert sorted(map(str, values)) == sorted(str(row.value) for row in content)


def test_another_source_at_the_end_does_not_hide_ours(bootstrap: str, topic: str) -> None:
    pump(bootstrap, topic, rows(range(2, 200)))
    pump(bootstrap, topic, rows(range(2, 900)), source=b"another")
    assert max(found(bootstrap, topic).rows.values()) == 199
    sender, _ = pump(bootstrap, topic, rows(range(2, 300)))
    assert sender.progress.resumed == 198


def test_an_empty_topic_has_nothing_to_resume(bootstrap: str, topic: str) -> None:
    standing = found(bootstrap, topic)
    assert (standing.marks, sum(standing.held.values())) == ({}, 0)
    check_rows(topic, rows([2, 3]), standing, append=False)


def test_a_topic_whose_partitions_changed_is_refused(bootstrap: str, topic: str) -> None:
    key = b"S1"
    wrong = (murmur2(key, PARTITIONS) + 1) % PARTITIONS
    producer = Producer({"bootstrap.servers": bootstrap})
    headers: list[tuple[str, str | bytes | None]] = [("tape.source", SOURCE), ("tape.row", b"7")]
    producer.produce(topic, b"{}", key, partition=wrong, headers=headers)
    producer.flush()
    with pytest.raises(RefusedError, match="4 partitions now, another number than when row 7"):
        found(bootstrap, topic)


def test_a_record_that_cannot_be_sent_ends_the_run_and_names_its_line(
    bootstrap: str, topic: str
) -> None:
    tally = Tally()
    where = Destination(
        bootstrap=bootstrap, topic=topic, partitions=PARTITIONS, kafka={"message.max.bytes": 2000}
    )
    sender = Pump(where, SOURCE, tally, clock=SystemClock(), watch=lambda _: None)
    with pytest.raises(FeedError, match=r"line 3: .*[Mm]essage size too large"):
        sender.run([*rows([2]), Row(3, b"A", 1, b"x" * 5000)], {})


def test_pace_follows_the_rows_own_time() -> None:
    clock = FakeClock()
    asked: list[int] = []

    def watch(_: Progress) -> None:
        asked.append(clock.monotonic_ms())
        clock.advance(50)

    where = Destination(bootstrap="127.0.0.1:1", topic="t", partitions=1, kafka={"log_level": 0})
    sender = Pump(where, SOURCE, Tally(), clock=clock, watch=watch)
    sender._wait_until(200)
    assert clock.monotonic_ms() == 200
    assert asked == [0, 50, 100, 150]


def test_due_times_scale_and_never_go_back() -> None:
    clock = FakeClock()
    pace = _Pace(clock, 10.0)
    assert [pace.due_ms(ms) for ms in (5_000, 6_000, 4_000, 15_000)] == [0, 100, -100, 1000]


def test_a_file_that_grew_may_go_on(bootstrap: str, topic: str) -> None:
    pump(bootstrap, topic, rows(range(2, 700)))
    check_rows(topic, rows(range(2, 1000)), found(bootstrap, topic), append=False)
    check_rows(topic, rows(range(2, 700)), found(bootstrap, topic), append=False)


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("changed", [2, 350, 699])
def test_a_file_that_changed_is_refused(
    bootstrap: str, topic: str, changed: int, *, append: bool
) -> None:
    content = rows(range(2, 700))
    pump(bootstrap, topic, content)
    spoiled = [
        row._replace(value=b"{}") if row.line == changed else row for row in rows(range(2, 800))
    ]
    standing = found(bootstrap, topic)
    with pytest.raises(RefusedError, match="earlier version of this file"):
        check_rows(topic, spoiled, standing, append=append)
    with pytest.raises(RefusedError, match="earlier version of this file"):
        check_rows(topic, content[:-1], standing, append=append)


def test_a_topic_with_other_records_is_refused_unless_they_are_to_be_mixed(
    bootstrap: str, topic: str
) -> None:
    pump(bootstrap, topic, rows(range(2, 200)), source=b"another")
    with pytest.raises(RefusedError, match="holds 198 records that are not rows of this file"):
        check_rows(topic, rows(range(2, 300)), found(bootstrap, topic), append=False)
    check_rows(topic, rows(range(2, 300)), found(bootstrap, topic), append=True)
    pump(bootstrap, topic, rows(range(2, 300)))
    with pytest.raises(RefusedError, match="holds 198 records"):
        check_rows(topic, rows(range(2, 300)), found(bootstrap, topic), append=False)
    check_rows(topic, rows(range(2, 300)), found(bootstrap, topic), append=True)


def test_what_headers_say_never_changes() -> None:
    """They are in topics: another spelling would refuse every file that is there."""
    assert source_id(("symbol", "", "recv_ns:ns"), b'{"symbol":"A"}') == b"b43ebc8ce1e12797"
    assert chained(chained(b"", b"one"), b"two") == b"850346b1d3d341f0"
