"""A CSV file becomes records; what cannot be one is reported with its line."""

import gzip
import io
import itertools
import json
from pathlib import Path

import pytest

from tickertape.base.errors import MisuseError, StorageError
from tickertape.connect.feed.rows import BadRow, Row, RowOptions, RowReader, uncompressed

TICK_FILES = Path(__file__).parents[4].parent / "shared" / "data"


def read(
    text: str | bytes,
    name: str = "ticks.csv",
    key: str | None = None,
    time: str | None = None,
) -> tuple[list[Row], list[BadRow], RowReader]:
    bad: list[BadRow] = []
    content = text.encode() if isinstance(text, str) else text
    stream = uncompressed(io.BytesIO(content))
    reader = RowReader(stream, name, RowOptions(key_column=key, time_column=time), bad.append)
    return list(reader), bad, reader


def test_fields_stay_the_strings_of_the_file() -> None:
    rows, bad, _ = read("ts_ms,symbol,price\n1700000000000,KRX,61000.10\n1700000000001,KRX,007\n")
    assert bad == []
    first = b'{"ts_ms":"1700000000000","symbol":"KRX","price":"61000.10"}'
    assert rows[0] == Row(2, b"KRX", 1_700_000_000_000, first)
    assert json.loads(rows[1].value)["price"] == "007"
    assert rows[1].line == 3


def test_key_is_symbol_then_instrument_then_the_files_name() -> None:
    assert read("instrument,symbol\na,b\n")[0][0].key == b"b"
    assert read("instrument,price\na,b\n")[0][0].key == b"a"
    assert read("bid,ask\n1,2\n", name="/x/eurusd.csv.gz")[0][0].key == b"eurusd"
    assert read("bid,ask\n1,2\n", key="ask")[0][0].key == b"2"


def test_a_named_column_that_is_not_there_is_named_with_the_ones_that_are() -> None:
    with pytest.raises(MisuseError, match="--key-column 'isin': want one of bid, ask"):
        read("bid,ask\n1,2\n", key="isin")
    with pytest.raises(MisuseError, match="--time-column 'at': want one of bid, ask"):
        read("bid,ask\n1,2\n", time="at")


def test_bad_rows_are_reported_with_line_and_text_and_the_rest_is_read() -> None:
    content = (
        b"ts_ms,symbol,price\n"
        b"1,A,1.0\n"
        b"2,A\n"
        b"3,A,3.0,9\n"
        b"soon,A,4.0\n"
        b"\n"
        b"6,A,\xff\xfe\n"
        b'7,A,"7.0" \n'
        b'8,A,"8\n.0"\n'
        b"10,A,10.0"
    )
    rows, bad, _ = read(content)
    assert [row.line for row in rows] == [2, 9, 11]
    assert json.loads(rows[1].value)["price"] == "8\n.0"
    assert [(item.line, item.raw) for item in bad] == [
        (3, b"2,A\n"),
        (4, b"3,A,3.0,9\n"),
        (5, b"soon,A,4.0\n"),
        (7, b"6,A,\xff\xfe\n"),
        (8, b'7,A,"7.0" \n'),
    ]
    assert bad[0].reason == "2 fields, want 3"
    assert "not UTF-8" in bad[3].quoted()
    assert json.loads(bad[3].to_json())["raw"] == "6,A,\\xff\\xfe\n"


@pytest.mark.parametrize("rows_after", [3, 500])
def test_a_quote_that_is_never_closed_costs_one_row(rows_after: int) -> None:
    good = "".join(f"{n},A\n" for n in range(rows_after))
    rows, bad, _ = read('ts_ms,symbol\n0,"A\n' + good)
    assert [item.line for item in bad] == [2]
    assert bad[0].raw == b'0,"A\n'
    assert [row.line for row in rows] == list(range(3, 3 + rows_after))


def test_a_row_too_large_for_a_record_is_a_bad_row() -> None:
    huge = ",".join(["9" * 120_000] * 9)
    rows, bad, _ = read(f"symbol,{','.join('abcdefghi')}\nA,{huge}\nB,{','.join('123456789')}\n")
    assert [row.key for row in rows] == [b"B"]
    assert "want at most 1000000" in bad[0].reason
    assert len(bad[0].quoted()) < 400


@pytest.mark.parametrize(
    ("header", "field", "want_ms", "meaning"),
    [
        ("recv_ns", "1723161255088169167", 1_723_161_255_088, "recv_ns (ns)"),
        ("event_ms", "1723161256313", 1_723_161_256_313, "event_ms (ms)"),
        ("ts", "1723161256", 1_723_161_256_000, "ts (s)"),
        ("ts", "1723161256.25", 1_723_161_256_250, "ts (s)"),
        ("timestamp", "1723161256313", 1_723_161_256_313, "timestamp (ms)"),
        ("timestamp", "1723161256313169", 1_723_161_256_313, "timestamp (us)"),
        ("timestamp", "2024-08-08T23:54:14.5Z", 1_723_161_254_500, "ISO 8601"),
        ("timestamp", "2024-08-09T08:54:14.5+09:00", 1_723_161_254_500, "ISO 8601"),
        ("Date", "20240808", 1_723_075_200_000, "ISO 8601"),
        ("done_us", "1723161256313169", 1_723_161_256_313, "done_us (us)"),
        ("price", "1", 0, "none found"),
    ],
)
def test_time_is_guessed_with_its_unit(header: str, field: str, want_ms: int, meaning: str) -> None:
    rows, bad, reader = read(f"{header},x\n{field},1\n")
    assert bad == []
    assert rows[0].timestamp_ms == want_ms
    assert meaning in reader.time_meaning


def test_receive_time_is_preferred_to_exchange_time() -> None:
    _, _, reader = read("event_ms,recv_ns\n1,2\n")
    assert reader.time_meaning == "recv_ns (ns)"


def test_time_of_day_takes_its_date_from_the_files_name() -> None:
    rows, _, reader = read("ms_since_midnight,bid\n17007,1\n", name="eurusd_20140508.csv")
    assert rows[0].timestamp_ms == 1_399_507_200_000 + 17_007
    assert "2014-05-08 as the file's name says" in reader.time_meaning
    rows, bad, reader = read("ms_since_midnight,bid\n17007,1\n999999999,2\n", name="eurusd.csv")
    assert rows[0].timestamp_ms == 17_007
    assert "1970-01-01" in reader.time_meaning
    assert "not within two days of midnight" in bad[0].reason


def test_the_user_may_name_column_and_unit() -> None:
    rows, _, reader = read("recv_ns,at\n1,1723161256\n", time="at:s")
    assert rows[0].timestamp_ms == 1_723_161_256_000
    assert reader.time_meaning == "at (s)"
    with pytest.raises(MisuseError, match="want ns, us, ms, s or iso"):
        read("recv_ns,at\n1,2\n", time="at:weeks")


@pytest.mark.parametrize("content", ["", "\n1,2\n", "a,a\n", "a,,b\n", 'a,"b\n'])
def test_a_header_that_cannot_be_used_is_refused(content: str) -> None:
    with pytest.raises(MisuseError):
        read(content)


def test_byte_order_mark_tabs_and_semicolons() -> None:
    assert read(b"\xef\xbb\xbfsymbol;price\nA;1,5\n")[0][0].value == b'{"symbol":"A","price":"1,5"}'
    assert read("symbol\tprice\r\nA\t1\r\n")[0][0].value == b'{"symbol":"A","price":"1"}'


def test_gzip_is_recognised_by_its_content_and_damage_is_told() -> None:
    whole = gzip.compress(b"symbol\n" + b"".join(b"%d\n" % n for n in range(50_000)))
    rows, _, _ = read(whole, name="no-ending")
    assert len(rows) == 50_000
    with pytest.raises(StorageError, match=r"t\.csv\.gz: damaged after line \d+"):
        read(whole[: len(whole) // 2], name="t.csv.gz")
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    with pytest.raises(StorageError, match="damaged after line"):
        read(bytes(damaged))


def test_header_alone_gives_no_rows() -> None:
    assert read("recv_ns,symbol\n")[0] == []


@pytest.mark.skipif(not TICK_FILES.is_dir(), reason="the folder of real tick files is absent")
@pytest.mark.parametrize(
    ("file", "count", "first_ms"),
    [
        ("trades_binance_20240808_09.csv.gz", 69_808, 1_723_161_254_087),
        ("quotes_binance_usdm_btcusdt_20240808.csv.gz", 66_089, 1_723_161_255_088),
        ("quotes_fxcm_eurusd_20140508.csv.gz", 167_466, 1_399_507_217_007),
    ],
)
def test_real_ticks_are_all_good_rows(file: str, count: int, first_ms: int) -> None:
    rows, bad, _ = read((TICK_FILES / file).read_bytes(), name=file)
    assert (len(rows), bad, rows[0].timestamp_ms) == (count, [], first_ms)
    with gzip.open(TICK_FILES / file, "rt") as lines:
        line = list(itertools.islice(lines, 1000))[-1]
    assert ",".join(json.loads(rows[998].value).values()) == line.rstrip("\n")


@pytest.mark.parametrize("content", ["1,2\n3,4\n", "1.5,,-7\n1,2,3\n", "20260105\n1\n"])
def test_a_file_without_a_line_of_names_is_refused(content: str) -> None:
    with pytest.raises(MisuseError, match="it must name the columns"):
        read(content)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"a\0b,c\n1,2\n"])
def test_a_file_that_is_no_text_is_refused(content: bytes) -> None:
    with pytest.raises(MisuseError, match=r"not a text file \(UTF-8\)"):
        read(content)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('1,"A" x', "there is text after a closing quote"),
        ('1,"A', "a quote is never closed"),
        ("soon,A", "time 'soon' is not ts_ms (ms)"),
        ("-1,A", "time '-1' is outside 1970 to 9999"),
        ("1," + "x" * 140_000, "a field is longer than 131,072 characters"),
    ],
)
def test_reasons_are_in_plain_words(line: str, reason: str) -> None:
    _, bad, _ = read(f"ts_ms,symbol\n0,A\n{line}\n")
    assert [item.reason for item in bad] == [reason]
