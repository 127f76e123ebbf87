import pytest

from tickertape.base.ids import PartitionIndex, TopicName, TopicPartition
from tickertape.connect.s3.layout import Layout
from tickertape.connect.s3.names import (
    intent_key,
    manifest_key,
    manifest_prefix,
    object_key,
    parse_manifest_key,
    parse_object_key,
    topic_prefix,
)

TP = TopicPartition(TopicName("mytopic"), PartitionIndex(0))
GZIP = Layout(compression="gzip")


def test_object_key_is_confluents() -> None:
    key = object_key(GZIP, TP, "2019-06-28", 3)
    assert key == "topics/mytopic/2019-06-28/mytopic+0+0000000003.json.gz"


def test_blank_topics_dir_gives_no_prefix() -> None:
    layout = Layout(topics_dir="")
    assert (
        object_key(layout, TP, "partition=0", 0) == "mytopic/partition=0/mytopic+0+0000000000.json"
    )
    assert topic_prefix(layout, "mytopic") == "mytopic/"
    assert topic_prefix(GZIP, "mytopic") == "topics/mytopic/"


@pytest.mark.parametrize(
    "layout",
    [
        GZIP,
        Layout(topics_dir=""),
        Layout(pad_width=0),
        Layout(pad_width=3, file_delim="."),
        Layout(directory_delim="_", file_delim="-"),
        Layout(format="bytes", converter="bytes", extension=".raw"),
        Layout(topics_dir="a/b"),
    ],
)
@pytest.mark.parametrize("first", [0, 7, 12345, 10**12])
def test_object_key_round_trips(layout: Layout, first: int) -> None:
    key = object_key(layout, TP, "year=2019", first)
    name = parse_object_key(layout, key)
    assert name is not None
    assert (name.topic, name.partition, name.first) == (TP.topic, TP.partition, first)
    assert name.directory == "year=2019"


@pytest.mark.parametrize(
    "key",
    [
        "topics/mytopic/d/mytopic+0+0000000003.json",
        "topics/mytopic/d/mytopic+0+3.json.gz",
        "topics/mytopic/d/mytopic+00+0000000003.json.gz",
        "topics/mytopic/d/other+0+0000000003.json.gz",
        "topics/mytopic/d/mytopic+0+00000000003.json.gz",
        "topics/mytopic/d/mytopic+x+0000000003.json.gz",
        "topics/mytopic/mytopic+0+0000000003.json.gz",
        "other/mytopic/d/mytopic+0+0000000003.json.gz",
        "",
    ],
)
def test_foreign_keys_are_not_ours(key: str) -> None:
    assert parse_object_key(GZIP, key) is None


def test_manifest_keys_round_trip_and_sort_by_start() -> None:
    keys = [manifest_key("s3/sink +", TP, start) for start in (0, 9, 10, 10**15)]
    assert keys == sorted(keys)
    assert all(key.startswith(manifest_prefix("s3/sink +", TP)) for key in keys)
    assert all(key.startswith(manifest_prefix("s3/sink +")) for key in keys)
    assert parse_manifest_key(keys[1]) == ("s3/sink +", TP, 9)
    assert parse_manifest_key(keys[1] + "x") is None
    assert parse_manifest_key("topics/" + keys[1]) is None


def test_spilled_intents_of_one_start_do_not_collide() -> None:
    keys = {intent_key("s3-sink", TP, 5, digest * 64) for digest in "ab"}
    assert keys == {
        "_tickertape/v1/intent/s3-sink/mytopic/0/00000000000000000005-aaaaaaaaaaaaaaaa.json",
        "_tickertape/v1/intent/s3-sink/mytopic/0/00000000000000000005-bbbbbbbbbbbbbbbb.json",
    }
