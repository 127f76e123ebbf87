import pytest

from tickertape.base.errors import MisuseError
from tickertape.connect.s3.joda import Pattern, local_to_utc, offset_ms, tokens, zone

JUNE_28 = 1_561_680_000_123  # 2019-06-28T00:00:00.123Z


def test_the_notebooks_pattern() -> None:
    assert Pattern("YYYY-MM-dd", zone("UTC"), "KR").format(JUNE_28) == "2019-06-28"
    assert Pattern("YYYY-MM-dd", zone("America/New_York"), "KR").format(JUNE_28) == "2019-06-27"


def test_upper_case_year_is_the_year_of_era_not_of_the_week() -> None:
    new_years_eve = 1_577_664_000_000  # 2019-12-30, week 1 of 2020
    assert Pattern("YYYY xxxx", zone("UTC"), "en").format(new_years_eve) == "2019 2020"


@pytest.mark.parametrize("letter", list("bcfgijlnopqrtuvABFIJLNOPQRTUVWX"))
def test_letters_that_joda_does_not_know_are_refused(letter: str) -> None:
    with pytest.raises(MisuseError, match=f"got '{letter}' .Joda has none such"):
        Pattern(f"YYYY{letter}", zone("UTC"), "en")


@pytest.mark.parametrize("token", ["z", "zzzz", "ZZZ"])
def test_zone_names_are_refused(token: str) -> None:
    with pytest.raises(MisuseError, match="zone names differ"):
        Pattern(token, zone("UTC"), "en")


@pytest.mark.parametrize("locale", ["ko", "de", "ja", "JA"])
def test_text_in_another_language_is_refused_and_numbers_are_not(locale: str) -> None:
    assert Pattern("YYYY/MM", zone("UTC"), locale).format(JUNE_28) == "2019/06"
    with pytest.raises(MisuseError, match="want locale=en or numbers only"):
        Pattern("MMM", zone("UTC"), locale)


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(MisuseError, match="empty path format"):
        Pattern("", zone("UTC"), "en")


def test_a_time_beyond_the_calendar_is_refused() -> None:
    for time in (10**15, -(10**15)):
        with pytest.raises(ValueError, match="years 1 to 9999"):
            Pattern("YYYY", zone("UTC"), "en").format(time)
        with pytest.raises(ValueError, match="years 1 to 9999"):
            offset_ms(zone("Asia/Seoul"), time)


@pytest.mark.parametrize(
    "name", ["KST", "Asia/seoul", "+9", "25:00", "", "../etc/passwd", "+24:00"]
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(MisuseError, match="want an id as Asia/Seoul or an offset"):
        zone(name)


@pytest.mark.parametrize(
    ("name", "hours"), [("+09:00", 9), ("+0900", 9), ("-03", -3), ("Asia/Seoul", 9), ("Z", 0)]
)
def test_offsets_and_ids(name: str, hours: int) -> None:
    assert offset_ms(zone(name), JUNE_28) == hours * 3_600_000
    assert local_to_utc(zone(name), JUNE_28) == JUNE_28 - hours * 3_600_000


def test_quotes_make_text() -> None:
    assert list(tokens("'y'''y''d")) == [(True, "y'"), (False, "y"), (True, "'"), (False, "d")]
