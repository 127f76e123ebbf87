"""compression.type: what is stored has the topic's codec, and is the same in all else."""

import pytest
from tests.log_kit import NOW, batches, new_log, produced, records, sync

from tickertape.log.config import LogConfig
from tickertape.log.conversion import CODECS
from tickertape.wire.batch import read_batch_header
from tickertape.wire.error_codes import ErrorCode

VALUES = [b"value-%d" % n * 20 for n in range(50)]


@pytest.mark.parametrize("wanted", CODECS)
@pytest.mark.parametrize("sent", range(5))
def test_a_batch_is_stored_in_its_topics_codec(wanted: str, sent: int) -> None:
    fs, log = new_log(LogConfig(compression_type=wanted))
    batch = produced(*VALUES, key=b"k", producer=(7, 1, 5), compression=sent)
    assert log.append(batch, NOW).error is ErrorCode.NONE
    ((header, inside),) = batches(log)
    before = read_batch_header(batch, 0)
    assert header.compression == CODECS[wanted]
    assert [(r.key, r.value) for r in inside] == [(b"k", value) for value in VALUES]
    assert [r.timestamp for r in inside] == [NOW + n for n in range(50)]
    for name in ("producer_id", "producer_epoch", "base_sequence", "last_offset_delta",
                 "base_timestamp", "max_timestamp", "record_count"):  # fmt: skip
        assert getattr(header, name) == getattr(before, name), name
    again = log.append(batch, NOW)
    assert (again.duplicate, again.base_offset) == (True, 0)
    sync(log)
    fs.crash()
    assert log.end_offset == 50


def test_a_batch_in_the_topics_codec_is_stored_as_it_came() -> None:
    _, log = new_log(LogConfig(compression_type="gzip"))
    batch = produced(*VALUES, compression=CODECS["gzip"])
    log.append(batch, NOW)
    ((header, _),) = batches(log)
    assert header.crc == read_batch_header(batch, 0).crc


@pytest.mark.parametrize(
    ("codec", "setting", "loose", "dense"),
    [
        ("gzip", "compression_gzip_level", 1, 9),
        ("zstd", "compression_zstd_level", -50, 19),
    ],
)
def test_levels_count(codec: str, setting: str, loose: int, dense: int) -> None:
    sizes = []
    for level in (loose, dense):
        config = {"compression_type": codec, setting: level}
        _, log = new_log(LogConfig(**config))  # type: ignore[arg-type]  # each has its own type
        log.append(produced(*(b"%d %d" % (n, n * n) for n in range(2000))), NOW)
        assert len(records(log)) == 2000
        sizes.append(log.size)
    assert sizes[1] < sizes[0]


def test_a_batch_that_is_too_large_unpacked_is_refused() -> None:
    _, log = new_log(LogConfig(compression_type="uncompressed", max_message_bytes=500))
    batch = produced(b"x" * 1000, compression=CODECS["zstd"])
    assert log.append(batch, NOW).error is ErrorCode.MESSAGE_TOO_LARGE
    assert log.end_offset == 0


def test_a_batch_that_unpacks_to_very_much_keeps_its_codec() -> None:
    _, log = new_log(LogConfig(compression_type="gzip"))
    batch = produced(bytes(17 << 20), compression=CODECS["zstd"])
    assert log.append(batch, NOW).error is ErrorCode.NONE
    header = read_batch_header(batch, 0)
    assert header.compression == CODECS["zstd"]


def test_append_time_and_another_codec_go_together() -> None:
    config = LogConfig(compression_type="lz4", message_timestamp_type="LogAppendTime")
    _, log = new_log(config)
    log.append(produced(b"a", b"b", timestamp=5, compression=CODECS["gzip"]), NOW)
    assert [(r.value, r.timestamp) for r in records(log)] == [(b"a", NOW), (b"b", NOW)]
