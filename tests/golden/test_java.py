"""Our bytes against Java's: java/outputs.json holds what Java answered to java/inputs.json.

java/Oracle.java made it with JDK 17, Kafka's connect-json, Jackson and Joda-Time (java/pom.xml);
test_java_still_answers_the_same asks again.
"""

import hashlib
import json
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tickertape.base.errors import MisuseError
from tickertape.config.properties import last_wins, read_properties
from tickertape.connect.s3 import java_json, joda
from tickertape.connect.s3.chunk import RecordRejectedError
from tickertape.connect.s3.envelope import Envelopes
from tickertape.connect.s3.formats import Encoder, OpenFile
from tickertape.connect.s3.java_values import double_text, float_text, hash_order, string_hash
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.partitioners import TimePartitioner
from tickertape.connect.s3.plan import next_scheduled

FOLDER = Path(__file__).parent / "java"
INPUTS: dict[str, list[Any]] = json.loads((FOLDER / "inputs.json").read_text())
OUTPUTS: dict[str, list[Any]] = json.loads((FOLDER / "outputs.json").read_text())


def pairs(section: str) -> Iterator[tuple[Any, Any]]:
    assert INPUTS[section], section
    return zip(INPUTS[section], OUTPUTS[section], strict=True)


def unhex(answer: str | None) -> bytes | None:
    return None if answer is None else bytes.fromhex(answer)


def test_strings_are_jacksons_literals() -> None:
    values = [bytes.fromhex(value) for value in INPUTS["strings"]]
    assert java_json.string_lines(values) == [unhex(line) for line in OUTPUTS["strings"]]
    assert [java_json.string_lines([value])[0] for value in values] == [
        unhex(line) for line in OUTPUTS["strings"]
    ]


def outcome(convert: Encoder, value: bytes) -> bytes | str | None:
    try:
        return convert([value])[0]
    except RecordRejectedError:
        return "error"


def test_schemaless_json_is_rewritten_as_by_json_converter_and_jackson() -> None:
    for value, answer in pairs("schemaless"):
        wanted = answer if answer == "error" else unhex(answer)
        assert outcome(java_json.schemaless_lines, bytes.fromhex(value)) == wanted, value


def test_the_fast_and_the_slow_way_agree() -> None:
    for value in INPUTS["schemaless"]:
        fast = outcome(java_json.schemaless_lines, bytes.fromhex(value))
        if isinstance(fast, bytes):
            slow = java_json.write_value(java_json.parse(bytes.fromhex(value)))
            assert fast == slow.encode()


@pytest.mark.parametrize("numeric", [False, True])
def test_envelopes_give_their_payload(numeric: bool) -> None:  # noqa: FBT001  # pytest's parameter
    for value, answer in pairs("envelopes"):
        wanted = bytes.fromhex(answer[numeric]) if isinstance(answer, list) else answer
        got = outcome(Envelopes(numeric=numeric).lines, bytes.fromhex(value))
        assert got == wanted, bytes.fromhex(value)


def test_doubles_are_written_as_java_writes_the_shortest() -> None:
    longer = 0
    for bits, answer in pairs("doubles"):
        value = _double(bits)
        if double_text(value) != answer:  # JDK 17 is not always shortest, JDK 19 is
            longer += 1
            assert float(answer) == value
            assert len(answer) >= len(double_text(value))
    assert longer < len(INPUTS["doubles"]) / 20


def test_floats_are_written_as_java_writes_the_shortest() -> None:
    longer = 0
    for bits, answer in pairs("floats"):
        value: float = struct.unpack(">f", bytes.fromhex(bits))[0]
        if float_text(value) != answer:
            longer += 1
            assert len(answer) >= len(float_text(value))
    assert longer < len(INPUTS["floats"]) / 10


def _double(bits: str) -> float:
    value: float = struct.unpack(">d", bytes.fromhex(bits))[0]
    return value


def test_keys_come_in_hash_map_order() -> None:
    for keys, answer in pairs("hash_orders"):
        assert hash_order(keys, string_hash) == answer


def test_directories_are_jodas() -> None:
    for case, answer in pairs("joda"):
        layout = Layout(
            partitioner="time",
            path_format=case["pattern"],
            duration_ms=case["duration"],
            locale=case["locale"],
            timezone=case["zone"],
            extractor="record",
        )
        partitioner = TimePartitioner(layout)
        assert [partitioner.directory(time) for time in case["times"]] == answer, case
        runs = TimePartitioner(layout).runs(case["times"], len(answer))
        assert [run.directory for run in runs for _ in range(run.lo, run.hi)] == answer


def test_schedules_are_aligned_to_local_midnight() -> None:
    for case, answer in pairs("schedules"):
        tz = joda.zone(case["zone"])
        got = [next_scheduled(tz, case["interval"], time) for time in case["times"]]
        assert got == answer, case


def test_gzip_members_have_javas_header_and_hold_the_content() -> None:
    for case, answer in pairs("gzip"):
        content = bytes.fromhex(case["content"])
        file = OpenFile(Layout(compression="gzip", level=case["level"]))
        for _ in range(case["repeat"]):
            file.write(content)
        stored = file.seal().data
        assert stored[:10].hex() == answer["header"]
        assert zlib.decompress(stored, wbits=31) == content * case["repeat"]


@pytest.mark.skipif("ng" in zlib.ZLIB_RUNTIME_VERSION, reason="zlib-ng compresses otherwise")
def test_gzip_of_an_explicit_level_from_6_is_javas_to_the_byte() -> None:
    compared = 0
    for case, answer in pairs("gzip"):
        if case["level"] >= 6:
            file = OpenFile(Layout(compression="gzip", level=case["level"]))
            for _ in range(case["repeat"]):
                file.write(bytes.fromhex(case["content"]))
            assert hashlib.sha256(file.seal().data).hexdigest() == answer["sha256"]
            compared += 1
    assert compared


def test_properties_are_read_as_java_reads_them() -> None:
    for data, answer in pairs("properties"):
        try:
            found = last_wins(read_properties(bytes.fromhex(data), "f"))
        except MisuseError:
            assert answer == "error"
        else:
            assert {key: entry.value for key, entry in found.items()} == answer, data


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_java_still_answers_the_same(tmp_path: Path) -> None:
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None or maven is None:
        pytest.skip("needs java and mvn on the PATH")
    library = tmp_path / "lib"
    subprocess.run(
        [maven, "-q", "-B", "-f", FOLDER / "pom.xml", "dependency:copy-dependencies",
         f"-DoutputDirectory={library}"],
        check=True, timeout=240,
    )  # fmt: skip
    answers = tmp_path / "outputs.json"
    subprocess.run(
        [java, "-cp", f"{library}/*", FOLDER / "Oracle.java", FOLDER / "inputs.json", answers],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert json.loads(answers.read_text()) == OUTPUTS
