"""Produce and Fetch through the door: what is appended, when it is answered, what may be read."""

import weakref

import pytest
from tests.unit.broker.harness import (
    Core,
    FakeCall,
    batch,
    fetch_answer,
    fetched,
    produced,
    values_of,
)

from tickertape.base.errors import PeerError
from tickertape.broker.state.settings import BrokerSettings
from tickertape.log.config import LogConfig
from tickertape.wire.batch import BATCH_HEADER
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.records import Record, write_batch

DIALECTS = pytest.mark.parametrize("version", [3, 8, 9, 12])


@pytest.fixture
def core() -> Core:
    core = Core()
    core.create("t", 2)
    return core


@DIALECTS
def test_produce_is_answered_when_it_is_on_disk_and_not_before(core: Core, version: int) -> None:
    core.auto_sync = False
    call = core.produce("t", batch("a", "b"), version=version)
    assert not call.answered
    assert fetched(core.fetch("t", 0)).high_watermark == 0
    core.sync()
    out = produced(call, version)
    assert (out.error, out.base_offset) == (ErrorCode.NONE, 0)
    assert produced(core.produce("t", batch("c"), acks=1)).base_offset == 2


@pytest.mark.parametrize("version", [4, 11, 12])
def test_fetch_returns_what_was_produced(core: Core, version: int) -> None:
    core.produce("t", batch("a", "b"))
    core.produce("t", batch("c"), partition=1)
    out = fetched(core.fetch("t", 0, version=version), version)
    assert values_of(out) == ["a", "b"]
    assert (out.high_watermark, out.last_stable_offset) == (2, 2)
    assert values_of(fetched(core.fetch("t", 0, partition=1))) == ["c"]


def test_fetch_from_the_middle_returns_the_whole_batch(core: Core) -> None:
    core.produce("t", batch("a", "b", "c"))
    assert values_of(fetched(core.fetch("t", 2))) == ["a", "b", "c"]


def test_acks_1_is_answered_before_the_disk_and_read_after_it(core: Core) -> None:
    core.auto_sync = False
    assert produced(core.produce("t", batch("a"), acks=1)).error == ErrorCode.NONE
    assert values_of(fetched(core.fetch("t", 0))) == []
    core.sync()
    assert values_of(fetched(core.fetch("t", 0))) == ["a"]


def test_acks_0_is_silent_and_hangs_up_on_an_error(core: Core) -> None:
    assert core.produce("t", batch("a"), acks=0).outcomes == [("no answer", None)]
    kind, reason = core.produce("nowhere", batch("a"), acks=0).outcomes[0]
    assert kind == "close"
    assert "UNKNOWN_TOPIC_OR_PARTITION" in reason


def test_other_acks_are_refused(core: Core) -> None:
    assert produced(core.produce("t", batch("a"), acks=2)).error == ErrorCode.INVALID_REQUIRED_ACKS


def test_unknown_topic_is_not_created_by_a_produce(core: Core) -> None:
    out = produced(core.produce("new", batch("a")))
    assert out.error == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert core.broker.topics.get("new") is None
    assert produced(core.produce("t", batch("a"), partition=2)).error == out.error
    assert produced(core.produce("t", batch("a"), partition=-1)).error == out.error


def corrupt() -> bytes:
    damaged = bytearray(batch("a"))
    damaged[-1] ^= 1
    return bytes(damaged)


def attributes(flags: int) -> bytes:
    return batch("a", attributes=flags, producer_id=1, producer_epoch=0, base_sequence=0)


@pytest.mark.parametrize(
    ("records", "error"),
    [
        (None, ErrorCode.INVALID_RECORD),
        (b"", ErrorCode.INVALID_RECORD),
        (b"x" * 100, ErrorCode.CORRUPT_MESSAGE),
        (corrupt(), ErrorCode.CORRUPT_MESSAGE),
        (batch("a") + batch("b"), ErrorCode.INVALID_RECORD),
        (batch("a")[:-1], ErrorCode.INVALID_RECORD),
        (attributes(0x10), ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        (attributes(0x20), ErrorCode.INVALID_RECORD),
    ],
)
def test_bad_batches_are_refused_and_nothing_is_appended(
    core: Core, records: bytes | None, error: ErrorCode
) -> None:
    out = produced(core.produce("t", records))
    assert (ErrorCode(out.error), out.base_offset) == (error, -1)
    assert fetched(core.fetch("t", 0)).high_watermark == 0


def test_zstd_needs_version_7(core: Core) -> None:
    old = produced(core.produce("t", batch("a", compression=4), version=6), 6)
    assert old.error == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    assert produced(core.produce("t", batch("a", compression=4), version=7), 7).error == 0


@pytest.mark.parametrize("version", [0, 1, 2])
def test_versions_before_3_are_advertised_and_close_the_connection(
    core: Core, version: int
) -> None:
    body = bytes.fromhex("ffff 00007530 00000001 0001 74 00000001 00000001 00000002 aaaa")
    with pytest.raises(PeerError, match="want 3 or later"):
        core.send(0, version, body)


def test_retry_is_answered_with_the_first_offset_once_that_is_durable(core: Core) -> None:
    first = batch("a", producer_id=7, producer_epoch=0, base_sequence=0)
    core.auto_sync = False
    call = core.produce("t", first)
    retry = core.produce("t", first)
    assert not retry.answered
    core.sync()
    assert produced(call).base_offset == produced(retry).base_offset == 0
    assert produced(core.produce("t", first)).base_offset == 0
    assert fetched(core.fetch("t", 0)).high_watermark == 1


def test_gap_in_the_sequence_is_refused(core: Core) -> None:
    core.produce("t", batch("a", producer_id=7, producer_epoch=0, base_sequence=0))
    out = produced(core.produce("t", batch("c", producer_id=7, producer_epoch=0, base_sequence=2)))
    assert out.error == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_slow_disk_times_out_and_the_record_stays(core: Core) -> None:
    core.auto_sync = False
    call = core.produce("t", batch("a"), timeout_ms=1_000)
    core.pass_ms(999)
    assert not call.answered
    core.pass_ms(1)
    assert produced(call).error == ErrorCode.REQUEST_TIMED_OUT
    core.sync()
    assert values_of(fetched(core.fetch("t", 0))) == ["a"]


def test_failed_sync_answers_those_who_wait_and_refuses_the_rest(core: Core) -> None:
    core.produce("t", batch("safe"))
    core.auto_sync = False
    waiting = core.produce("t", batch("lost"))
    core.fs.fail_always(frozenset({"sync"}))
    core.sync()
    out = produced(waiting)
    assert out.error == ErrorCode.KAFKA_STORAGE_ERROR
    assert "Input/output error" in (out.error_message or "")
    after = produced(core.produce("t", batch("more")))
    assert after.error == ErrorCode.KAFKA_STORAGE_ERROR
    assert values_of(fetched(core.fetch("t", 0))) == ["safe"]
    assert core.broker.dirty() == []


def test_full_disk_refuses_and_then_recovers(core: Core) -> None:
    core.produce("t", batch("a"))
    core.fs.fail_at(1)
    out = produced(core.produce("t", batch("b")))
    assert out.error == ErrorCode.KAFKA_STORAGE_ERROR
    assert "No space left" in (out.error_message or "")
    assert produced(core.produce("t", batch("c"))).base_offset == 1
    assert values_of(fetched(core.fetch("t", 0))) == ["a", "c"]


@pytest.mark.parametrize("fsync", ["interval", "never"])
def test_relaxed_fsync_counts_what_is_written(fsync: str) -> None:
    core = Core(BrokerSettings(fsync=fsync), auto_sync=False)  # type: ignore[arg-type]  # a literal
    core.create("t")
    sleeping = core.fetch("t", 0, max_wait_ms=500)
    assert produced(core.produce("t", batch("a"))).error == 0
    assert values_of(fetched(sleeping)) == ["a"]
    assert bool(core.broker.dirty()) == (fsync == "interval")
    core.sync()
    assert core.broker.dirty() == []


def test_interval_sync_really_syncs() -> None:
    core = Core(BrokerSettings(fsync="interval"), auto_sync=False)
    core.create("t")
    core.produce("t", batch("a"))
    core.sync()
    core.crash()
    assert values_of(fetched(core.fetch("t", 0))) == ["a"]


def test_upkeep_lets_a_recovery_be_short_even_if_nothing_is_ever_synced() -> None:
    core = Core(BrokerSettings(fsync="never"), auto_sync=False)
    core.create("t", segment_bytes="200")
    for _ in range(20):
        core.produce("t", batch("x" * 50))
    core.pass_ms(core.settings.log_retention_check_interval_ms)
    core.sync()
    core.crash()
    (_, report), *_ = core.report.recovered
    assert report.end_offset == 20
    assert report.bytes_scanned < 400


def test_too_many_waiting_requests_are_refused_before_they_append() -> None:
    core = Core(BrokerSettings(produce_waits_max=1))
    core.create("t")
    core.auto_sync = False
    first = core.produce("t", batch("a"))
    out = produced(core.produce("t", batch("b")))
    assert out.error == ErrorCode.NOT_ENOUGH_REPLICAS
    core.sync()
    assert produced(first).error == 0
    assert values_of(fetched(core.fetch("t", 0))) == ["a"]


def test_internal_topic_can_be_read_and_not_written(core: Core) -> None:
    core.broker.groups.prepare()
    out = produced(core.produce("__consumer_offsets", batch("a")))
    assert out.error == ErrorCode.INVALID_TOPIC_EXCEPTION
    assert fetched(core.fetch("__consumer_offsets", 0)).error == 0


def test_record_without_a_key_is_refused_on_a_compacted_topic(core: Core) -> None:
    core.create("c", cleanup_policy="compact")
    keyless = write_batch([Record(0, 1, None, b"v", ())])
    assert produced(core.produce("c", keyless)).error == ErrorCode.INVALID_RECORD
    assert produced(core.produce("c", batch("v"))).error == 0


def test_max_message_bytes() -> None:
    core = Core(BrokerSettings(log=LogConfig(max_message_bytes=200)))
    core.create("t")
    assert produced(core.produce("t", batch("x" * 300))).error == ErrorCode.MESSAGE_TOO_LARGE


def test_log_append_time_is_told(core: Core) -> None:
    core.create("l", message_timestamp_type="LogAppendTime")
    assert produced(core.produce("l", batch("a"))).log_append_time_ms == core.clock.now_ms()
    assert produced(core.produce("t", batch("a"))).log_append_time_ms == -1


# -- fetch -----------------------------------------------------------------------------------


def test_long_poll_wakes_when_a_record_is_durable(core: Core) -> None:
    core.auto_sync = False
    call = core.fetch("t", 0, max_wait_ms=500)
    core.produce("t", batch("a"), acks=1)
    assert not call.answered
    core.sync()
    assert values_of(fetched(call)) == ["a"]
    assert len(core.broker.fetch_waits) == 0


def test_long_poll_ends_at_its_time(core: Core) -> None:
    call = core.fetch("t", 0, max_wait_ms=500)
    core.pass_ms(499)
    assert not call.answered
    core.pass_ms(1)
    out = fetched(call)
    assert (out.error, values_of(out)) == (0, [])


def test_long_poll_waits_for_min_bytes(core: Core) -> None:
    one = len(batch("a"))
    call = core.fetch("t", 0, max_wait_ms=500, min_bytes=one + 1)
    core.produce("t", batch("a"))
    assert not call.answered
    core.produce("t", batch("b"))
    assert values_of(fetched(call)) == ["a", "b"]


def test_long_poll_does_not_wait_for_more_than_it_may_get(core: Core) -> None:
    for value in "abc":
        core.produce("t", batch(value))
    two = 2 * len(batch("a")) + 1
    for limit in ({"max_bytes": two}, {"partition_max_bytes": two}):
        call = core.fetch("t", 0, max_wait_ms=500, min_bytes=two, **limit)
        assert values_of(fetched(call)) == ["a", "b"], limit
    call = core.fetch("t", 0, max_wait_ms=500, max_bytes=two, min_bytes=1 << 30)
    assert values_of(fetched(call)) == ["a", "b"]


def test_a_full_segment_counts_for_min_bytes_with_what_follows(core: Core) -> None:
    core.create("s", segment_bytes=str(len(batch("a"))))
    for value in "abc":
        core.produce("s", batch(value))
    call = core.fetch("s", 0, max_wait_ms=500, min_bytes=2 * len(batch("a")))
    assert values_of(fetched(call)) == ["a"]


@pytest.mark.parametrize("max_bytes", [0, -1])
def test_the_first_batch_comes_even_if_nothing_is_allowed(core: Core, max_bytes: int) -> None:
    core.produce("t", batch("a"))
    core.produce("t", batch("b"))
    call = core.fetch("t", 0, max_bytes=max_bytes, max_wait_ms=500)
    assert values_of(fetched(call)) == ["a"]


def test_long_poll_of_a_client_that_left_is_dropped(core: Core) -> None:
    call = core.fetch("t", 0, max_wait_ms=500)
    call.gone = True
    core.produce("t", batch("a"))
    assert call.outcomes == [("no answer", None)]
    assert len(core.broker.fetch_waits) == 0


def test_long_poll_learns_that_its_topic_is_deleted(core: Core) -> None:
    call = core.fetch("t", 0, max_wait_ms=500)
    topic = core.broker.topics.get("t")
    assert topic is not None
    core.broker.delete_topic(topic)
    assert fetched(call).error == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_waiting_produce_learns_that_its_topic_is_deleted(core: Core) -> None:
    core.auto_sync = False
    call = core.produce("t", batch("a"))
    topic = core.broker.topics.get("t")
    assert topic is not None
    core.broker.delete_topic(topic)
    assert produced(call).error == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert core.broker.dirty() == []


def test_answered_long_polls_are_not_kept_until_their_time(core: Core) -> None:
    def answered(number: int) -> weakref.ref[FakeCall]:
        call = core.fetch("t", number, max_wait_ms=600_000)
        core.produce("t", batch("a"))
        assert call.answered
        return weakref.ref(call)

    calls = [answered(number) for number in range(300)]
    assert sum(ref() is not None for ref in calls) < 150
    slept = core.fetch("t", 300, max_wait_ms=500)
    core.pass_ms(500)
    assert slept.answered


def test_no_more_long_polls_than_allowed() -> None:
    core = Core(BrokerSettings(fetch_waits_max=1))
    core.create("t")
    assert not core.fetch("t", 0, max_wait_ms=500).answered
    assert core.fetch("t", 0, max_wait_ms=500).answered


@pytest.mark.parametrize(
    ("offset", "out_of_range"), [(-1, True), (0, False), (2, False), (3, True)]
)
def test_offset_out_of_range(core: Core, offset: int, out_of_range: bool) -> None:  # noqa: FBT001
    core.produce("t", batch("a", "b"))
    error = fetched(core.fetch("t", offset, max_wait_ms=0)).error
    assert (error == ErrorCode.OFFSET_OUT_OF_RANGE) == out_of_range


def test_leader_epochs_are_fenced(core: Core) -> None:
    core.produce("t", batch("a"))
    core.crash()  # bumps the epoch from 0 to 1
    assert fetched(core.fetch("t", 0, current_leader_epoch=1)).error == 0
    assert (
        fetched(core.fetch("t", 0, current_leader_epoch=0)).error == ErrorCode.FENCED_LEADER_EPOCH
    )
    assert (
        fetched(core.fetch("t", 0, current_leader_epoch=2)).error == ErrorCode.UNKNOWN_LEADER_EPOCH
    )


def test_client_that_read_what_a_crash_took_back_is_told_where_it_parted(core: Core) -> None:
    core.produce("t", batch("a", "b"))
    core.auto_sync = False
    core.produce("t", batch("lost"), acks=1)
    core.crash()
    core.auto_sync = True
    core.produce("t", batch("c", "d"))
    out = fetched(core.fetch("t", 3, version=12, last_fetched_epoch=0), 12)
    assert out.diverging == (0, 2)
    fine = fetched(core.fetch("t", 3, version=12, last_fetched_epoch=1), 12)
    assert fine.diverging is None
    assert values_of(fine) == ["c", "d"]


def test_first_batch_comes_whole_and_the_rest_obeys_the_limits(core: Core) -> None:
    size = len(batch("a"))
    for value in "abc":
        core.produce("t", batch(value))
    tiny = fetched(core.fetch("t", 0, partition_max_bytes=1))
    assert values_of(tiny) == ["a"]
    assert values_of(fetched(core.fetch("t", 0, max_bytes=1))) == ["a"]
    two = fetched(core.fetch("t", 0, partition_max_bytes=2 * size + 1))
    assert values_of(two) == ["a", "b"]


def test_sessions_are_declined(core: Core) -> None:
    fresh = fetch_answer(core.fetch("t", 0, session_epoch=0))
    assert (fresh.error, fresh.session_id) == (0, 0)
    incremental = fetch_answer(core.fetch("t", 0, session_id=5, session_epoch=1))
    assert incremental.error == ErrorCode.FETCH_SESSION_ID_NOT_FOUND
    assert incremental.topics == []


def test_read_committed_gets_an_empty_list_of_aborted_transactions(core: Core) -> None:
    core.produce("t", batch("a"))
    assert fetched(core.fetch("t", 0, isolation_level=1)).aborted == []
    assert fetched(core.fetch("t", 0, isolation_level=0)).aborted is None


def test_batches_carry_the_leader_epoch(core: Core) -> None:
    core.produce("t", batch("a"))
    core.crash()
    core.produce("t", batch("b"))
    (chunk,) = fetched(core.fetch("t", 1)).records
    assert isinstance(chunk, bytes)
    assert BATCH_HEADER.unpack_from(chunk)[2] == 1


def test_a_long_poll_ends_with_its_connection() -> None:
    core = Core()
    core.create("t")
    call = core.fetch("t", 0, max_wait_ms=60_000)
    assert len(core.broker.fetch_waits) == 1
    assert call.on_gone is not None
    call.on_gone()
    assert len(core.broker.fetch_waits) == 0


def test_who_exceeds_a_quota_is_told_how_long_to_wait() -> None:
    core = Core()
    core.create("t")
    rates = {"producer_byte_rate": 10.0, "consumer_byte_rate": 5.0}
    core.broker.security.change_quotas({(("client-id", "tester"),): rates})
    value = batch("x" * 1000)
    call = core.produce("t", value)
    assert produced(call).error == 0, "throttled, not refused"
    assert call.throttle_ms > 90_000
    fetch = core.fetch("t", 0)
    assert fetch.throttle_ms > 180_000
    assert fetch_answer(fetch).throttle_ms == fetch.throttle_ms
    core.broker.security.change_quotas({(("client-id", "tester"),): {}})
    assert core.produce("t", value).throttle_ms == 0
