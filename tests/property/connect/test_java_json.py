"""Any text and any JSON: lines read back as what went in, in Jackson's spelling."""

import json
import re

import hypothesis.strategies as st
from hypothesis import given

from tickertape.connect.s3 import java_json
from tickertape.connect.s3.chunk import RecordRejectedError
from tickertape.connect.s3.java_values import (
    double_text,
    float_text,
    hash_order,
    string_hash,
    to_float,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


def spelled_as_jackson(line: bytes) -> bool:
    """No raw control, astral or bare line feed; escapes short where there is a short one."""
    text = line.decode()
    raw = re.search("[\x00-\x1f\ud800-\udfff\U00010000-\U0010ffff]", text)
    escapes = re.findall(r"\\(u....|.)", text)
    good = re.compile(r'[\\"bfnrt]|u00[01][0-9A-F]|uD[89A-F][0-9A-F]{2}')
    return raw is None and all(good.fullmatch(escape) for escape in escapes)


@given(st.lists(st.text()))
def test_any_text_reads_back(texts: list[str]) -> None:
    lines = java_json.string_lines([text.encode() for text in texts])
    assert [json.loads(line or b"") for line in lines] == texts
    assert all(line is not None and spelled_as_jackson(line) for line in lines)
    literals = [java_json.string_literal(text).encode() for text in texts]
    assert lines == literals


@given(st.lists(st.binary() | st.none()))
def test_any_bytes_give_one_line_each(values: list[bytes | None]) -> None:
    lines = java_json.string_lines(values)
    assert [line is None for line in lines] == [value is None for value in values]
    for value, line in zip(values, lines, strict=True):
        if value is not None and line is not None:
            assert json.loads(line) == java_json.java_text(value)
            assert b"\n" not in line


@given(DOCUMENTS, st.sampled_from([None, 1]), st.booleans())
def test_any_document_reads_back_with_keys_in_hash_order(
    document: object,
    indent: int | None,
    ascii_only: bool,  # noqa: FBT001  # drawn
) -> None:
    value = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    line = java_json.schemaless_lines([value])[0]
    if document is None:
        assert line is None
        return
    assert line is not None
    assert spelled_as_jackson(line)
    assert line == java_json.write_value(java_json.parse(value)).encode()
    assert json.loads(line, object_pairs_hook=ordered) == document


def ordered(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    assert list(found) == java_json.key_order(found)
    return found


@given(DOCUMENTS, st.sampled_from([None, 1]))
def test_preserved_text_is_one_line_of_the_same_document(
    document: object, indent: int | None
) -> None:
    value = json.dumps(document, indent=indent).encode()
    line = java_json.preserved_lines([b" \n" + value + b"\r\n"])[0]
    if document is None:
        assert line is None
        return
    assert line is not None
    assert json.loads(line) == document
    assert not {b"\n", b"\r"} & {bytes([byte]) for byte in line}
    if indent is None:
        assert line == value


@given(st.binary())
def test_bytes_that_are_no_json_are_refused_not_garbled(value: bytes) -> None:
    for convert in (java_json.schemaless_lines, java_json.preserved_lines):
        try:
            line = convert([b"{}", value])[1]
        except RecordRejectedError as error:
            refused = error.index
        else:
            refused = 1
            assert line is None or json.loads(line) is not None
        assert refused == 1


@given(st.floats(allow_nan=False))
def test_doubles_read_back(value: float) -> None:
    text = double_text(value)
    assert float(text.strip('"')) == value
    assert re.fullmatch(r'-?[0-9]+\.[0-9]+(E-?[0-9]+)?|"-?Infinity"', text)


@given(st.floats(width=32, allow_nan=False))
def test_floats_read_back(value: float) -> None:
    assert to_float(float(float_text(value).strip('"'))) == value


@given(st.lists(st.text(), unique=True))
def test_hash_order_is_a_permutation_by_bucket(keys: list[str]) -> None:
    assert sorted(hash_order(keys, string_hash)) == sorted(keys)
