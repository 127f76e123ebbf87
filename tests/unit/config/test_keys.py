import pytest

from tickertape.config.keys import (
    Key,
    boolean,
    check,
    choice,
    class_of,
    integer,
    is_secret,
    text,
    untrimmed,
    words,
)
from tickertape.config.properties import read_properties
from tickertape.config.s3_sink import CONVERTER_KEYS
from tickertape.config.s3_sink import KEYS as SINK_KEYS
from tickertape.config.worker import KEYS as WORKER_KEYS


def test_values_are_trimmed_and_typed() -> None:
    assert text("  a b ") == "a b"
    assert untrimmed(" \n") == " \n"
    assert words(" a, b ,,c ") == ("a", "b", "c")
    assert boolean(" TRUE ") is True
    assert integer(-1, 9)(" 7 ") == 7
    assert choice("none", "gzip", fold=True)("GZIP") == "gzip"
    assert class_of({"a.B": "b"})(" a.B ") == "b"


@pytest.mark.parametrize(
    ("parse", "raw"),
    [
        (boolean, "yes"), (integer(0), "-1"), (integer(0, 5), "6"), (integer(0), ""),
        (integer(0), "1.0"), (integer(0), "٣"), (integer(0), "9" * 30), (choice("a"), "A"),
        (class_of({"a.B": "b"}, ["a.C"]), "a.C"),
    ],
)  # fmt: skip
def test_what_is_wanted_is_said(parse: object, raw: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match=r"true or false|a whole number|one of"):
        parse(raw)


def test_a_file_is_checked_key_by_key() -> None:
    keys = [
        Key(name="size", parse=integer(1), required=True),
        Key(name="kept", parse=text, default="d"),
        Key(name="old", parse=text, inert="nobody reads it"),
        Key(name="later", parse=boolean, default=False, refused="not yet"),
        Key(name="my.password", parse=integer(1)),
    ]
    data = b"old=1\nlater=true\nmy.password=hunter2\nsiz=3\nx.y=1\nfoo.bar=1\nold=2\n"
    checked = check(read_properties(data, "f"), "f", keys, {"x.": "family", "foo.": ""})
    assert checked.errors == [
        "f: size: got nothing, want a value (the property is required)",
        "f:2: later: got 'true', want false: not yet",
        "f:3: my.password: got (hidden), want a whole number from 1 to 2147483647",
    ]
    assert [(notice.kind, str(notice)) for notice in checked.notices] == [
        ("warning", "f:1: old: line 7 sets it again and wins"),
        ("inert", "f:7: old: nobody reads it"),
        ("warning", "f:4: siz: unknown property, ignored, did you mean size?"),
        ("inert", "f:5: x.y: family"),
    ]
    assert checked.text("kept") == "d"
    assert checked.given("old")
    assert not checked.given("kept")


def test_defaults_pass_their_own_check() -> None:
    for key in (*SINK_KEYS, *CONVERTER_KEYS, *WORKER_KEYS):
        if isinstance(key.default, bool | int):
            assert key.parse(str(key.default).lower()) == key.default, key.name


def test_no_key_is_defined_twice() -> None:
    for keys in ((*SINK_KEYS, *CONVERTER_KEYS), WORKER_KEYS):
        names = [key.name for key in keys]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "name",
    ["aws.secret.access.key", "sasl.jaas.config", "ssl.key.password", "s3.sse.customer.key",
     "consumer.override.sasl.jaas.config", "s3.proxy.password", "basic.auth.user.info.token"],
)  # fmt: skip
def test_secrets_are_known_by_name(name: str) -> None:
    assert is_secret(name)
    assert not is_secret("flush.size")
