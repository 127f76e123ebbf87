"""Any pattern compiles or is refused; directories of whole chunks are those of single records."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given

from tickertape.base.errors import MisuseError
from tickertape.connect.s3 import joda
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.partitioners import TimePartitioner

ZONES = ["UTC", "Asia/Seoul", "America/New_York", "America/St_Johns", "Asia/Kathmandu",
         "Australia/Lord_Howe", "Africa/Casablanca", "+09:00", "-03:30"]  # fmt: skip
HOUR = 3_600_000
CHANGES = [1_552_201_200_000, 1_572_764_400_000, 1_553_994_000_000, 1_570_284_000_000,
           -1_000, 0, 1_561_680_000_000, 1_289_100_660_000]  # fmt: skip
TIMES = st.one_of(
    st.builds(int.__add__, st.sampled_from(CHANGES), st.integers(-2 * HOUR, 2 * HOUR)),
    st.integers(-(2**40), 2**42),
).filter(lambda time: time != -1)  # -1 is Kafka's "no timestamp"


@given(st.text() | st.text(alphabet="YyMdHms'-/ zZQ"), st.sampled_from(["KR", "en", "ko", ""]))
def test_any_pattern_is_compiled_or_refused(pattern: str, locale: str) -> None:
    try:
        compiled = joda.Pattern(pattern, UTC, locale)
    except MisuseError as error:
        answer = str(error)
    else:
        answer = f"got and want {compiled.format(0)!r}"
    assert "got" in answer
    assert "want" in answer


@given(st.text(min_size=1).filter(lambda text: not text.startswith("'")))  # Joda: '''' is ''
def test_quoted_text_stands_for_itself(text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    assert joda.Pattern(f"YYYY{quoted}dd", UTC, "en").format(0) == f"1970{text}01"


@given(TIMES)
def test_numbers_are_those_of_the_calendar(time: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time)
    text = joda.Pattern("YYYY-MM-dd'T'HH:mm:ss.SSS", UTC, "KR").format(time)
    assert text == moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


@given(
    st.lists(TIMES, min_size=1, max_size=40),
    st.sampled_from(ZONES),
    st.sampled_from([1, 900_000, HOUR, 7 * HOUR, 24 * HOUR]),
    st.sampled_from(["YYYY-MM-dd", "YYYY/MM/dd/HH-mm", "HH:mm:ss.SSS Z"]),
)
def test_chunks_are_partitioned_as_single_records(
    times: list[int], zone: str, duration: int, pattern: str
) -> None:
    layout = Layout(
        partitioner="time",
        path_format=pattern,
        duration_ms=duration,
        locale="KR",
        timezone=zone,
        extractor="record",
    )
    runs = TimePartitioner(layout).runs(times, len(times))
    assert [run.lo for run in runs] == [0, *(run.hi for run in runs[:-1])]
    got = [run.directory for run in runs for _ in range(run.lo, run.hi)]
    assert got == [one_by_hand(layout, time) for time in times]
    assert all(a.directory != b.directory for a, b in pairwise(runs))


def one_by_hand(layout: Layout, time: int) -> str:
    tz = joda.zone(layout.timezone)
    local = time + joda.offset_ms(tz, time)
    truncated = abs(local) // layout.duration_ms * layout.duration_ms * (1 if local >= 0 else -1)
    pattern = joda.Pattern(layout.path_format, tz, layout.locale)
    return pattern.format(joda.local_to_utc(tz, truncated))
