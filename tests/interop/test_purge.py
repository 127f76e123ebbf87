"""`tape topic purge` on either broker: what is proven goes, and of what is not, nothing does."""

import gzip
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from tests.interop.harness import PATIENCE_S, Broker, create_topic, eventually, unique
from tests.interop.test_worker import TAPE, Scene

from tickertape.cli.cluster import Cluster

DAY_MS = 86_400_000
FIRST_DAY_MS = 1_700_000_000_000 - 1_700_000_000_000 % DAY_MS  # 2023-11-14T00:00Z


class Purged(Scene):
    """A scene whose records can be purged. Flushes of 40 records; the last is the rest."""

    def purge(
        self, *wish: object, stdin: int = subprocess.DEVNULL
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [TAPE, "topic", "purge", "-t", self.topic, "--store", str(self.lake),
             "-b", self.target.bootstrap, "-o", "json", *map(str, wish)],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
            stdin=stdin,
        )  # fmt: skip

    def purged(self, *wish: object, code: int = 0) -> dict[str, Any]:
        done = self.purge(*wish)
        assert done.returncode == code, done
        document = json.loads(done.stdout)
        assert isinstance(document, dict)
        return document | {"stderr": done.stderr}

    def asked(self, answer: str, *wish: object) -> int:
        """Purge with a terminal at which somebody answers; the exit code."""
        person, terminal = os.openpty()
        try:
            os.write(person, f"{answer}\n".encode())
            return self.purge(*wish, stdin=terminal).returncode
        finally:
            os.close(person)
            os.close(terminal)

    def bounds(self, partition: int = 0) -> tuple[int, int]:
        consumer = Consumer({"bootstrap.servers": self.target.bootstrap, "group.id": "bounds"})
        place = TopicPartition(self.topic, partition)
        found = consumer.get_watermark_offsets(place, timeout=PATIENCE_S)
        consumer.close()
        assert found is not None
        return found

    def files(self, folder: str) -> list[Path]:
        return sorted(path for path in (self.lake / folder).rglob("*.json*") if path.is_file())


def stored(target: Broker, folder: Path, records: int = 100, partitions: int = 1) -> Purged:
    scene = Purged(target, folder, partitions=partitions)
    scene.produce(records)
    scene.once()
    return scene


def column(document: dict[str, Any], name: str) -> list[Any]:
    return [each[name] for each in document["partitions"]]


@pytest.mark.slow
def test_what_is_proven_goes_and_the_worker_goes_on(target: Broker, tmp_path: Path) -> None:
    scene = stored(target, tmp_path, 200, partitions=2)
    wish = ("--before-offset", 60)
    shown = scene.purged(*wish, "--dry-run")
    assert column(shown, "outcome") == ["would be purged"] * 2
    assert (scene.bounds(0), scene.bounds(1)) == ((0, 100), (0, 100))
    assert scene.purge(*wish).returncode == 2, "nobody to ask, and not told --yes"
    assert scene.bounds(0) == (0, 100)
    done = scene.purged(*wish, "--yes", "--partition", 1)
    assert (done["_schema"], done["proven"], done["stderr"]) == ("tape.topic.purge/1", True, "")
    assert done["partitions"] == [
        {"partition": 1, "log_start": 0, "wanted": 60, "verified_to": 100, "delete_to": 60,
         "offsets": 60, "outcome": "purged", "error": None, "stop": None},
    ]  # fmt: skip
    assert (scene.bounds(0), scene.bounds(1)) == ((0, 100), (60, 100))
    assert column(scene.purged(*wish, "--yes"), "outcome") == ["purged", "nothing to do"]
    deep = scene.purged("--before-offset", 1000, "--yes", "--deep")
    assert column(deep, "delete_to") == [100, 100]
    assert (scene.bounds(0), scene.bounds(1)) == ((100, 100), (100, 100))
    scene.produce(20)
    assert scene.once()["records"] == 20
    assert column(scene.purged("--all-verified", "--yes"), "delete_to") == [110, 110]
    assert scene.stored() == list(range(220))
    assert scene.verified() == 0


def test_by_day_and_by_time(target: Broker, tmp_path: Path) -> None:
    scene = Purged(target, tmp_path, partitions=1)
    producer = Producer({"bootstrap.servers": target.bootstrap})
    for hour in (0, 10, 16, 23, 11, 40):  # the second 11 comes late: it stays with what is after 23
        at = FIRST_DAY_MS + hour * 3_600_000
        producer.produce(scene.topic, str(hour).encode(), partition=0, timestamp=at)
        producer.flush(PATIENCE_S)
    scene.once()
    dry = "--dry-run"
    seoul = scene.purged("--date", "2023-11-14", "--timezone", "Asia/Seoul", dry)
    assert column(seoul, "wanted") == [2], "15:00Z is midnight there"
    assert column(scene.purged("--date", "2023-11-14", dry), "wanted") == [5]
    assert column(scene.purged("--date", "2023-11-16", dry), "wanted") == [6]
    assert column(scene.purged("--before-time", FIRST_DAY_MS + 1, dry), "wanted") == [1]
    scene.purged("--before-time", "2023-11-14T20:00+01:00", "--yes")
    assert scene.bounds() == (3, 6)


def lose_an_object(scene: Purged) -> str:
    scene.files("topics")[1].unlink()
    return "missing"


def alter_an_object(scene: Purged) -> str:
    path = scene.files("topics")[1]
    content = gzip.decompress(path.read_bytes()).replace(b'"5', b'"6')
    path.write_bytes(gzip.compress(content))
    return "altered"


def lose_a_manifest(scene: Purged) -> str:
    scene.files("_tickertape")[1].unlink()
    return "unproven"


@pytest.mark.parametrize("spoil", [lose_an_object, alter_an_object, lose_a_manifest])
def test_a_damaged_backup_lets_nothing_go_but_what_is_before(
    spoil: Callable[[Purged], str], target: Broker, tmp_path: Path
) -> None:
    scene = stored(target, tmp_path)
    kind = spoil(scene)
    refused = scene.purged("--before-offset", 90, "--yes", code=3)
    assert (column(refused, "outcome"), column(refused, "verified_to")) == (["refused"], [40])
    assert f"proven only before 40: {kind}: partition 0, offsets 40-79" in refused["stderr"]
    hint = "To do: ask the topic, too (--deep); "
    assert (hint in refused["stderr"]) is (kind == "unproven"), "where it may help"
    assert "nothing at all is deleted; --up-to-verified" in refused["stderr"]
    assert scene.bounds() == (0, 100)
    scene.purged("--before-offset", 90, "--dry-run", code=3)
    purged = scene.purged("--before-offset", 90, "--yes", "--up-to-verified")
    assert column(purged, "outcome") == ["purged"]
    assert scene.bounds() == (40, 100)


def test_a_backup_that_is_behind_lets_no_partition_go(target: Broker, tmp_path: Path) -> None:
    scene = stored(target, tmp_path, 200, partitions=2)
    producer = Producer({"bootstrap.servers": target.bootstrap})
    producer.produce(scene.topic, b"late", partition=1)
    producer.flush(PATIENCE_S)
    refused = scene.purged("--before-offset", 101, "--yes", code=3)
    assert column(refused, "outcome") == ["refused", "refused"]
    assert column(refused, "stop") == [None, {"offset": 100, "reason": "behind", "finding": None}]
    assert (scene.bounds(0), scene.bounds(1)) == ((0, 100), (0, 101))


def test_a_topic_that_was_created_again_keeps_its_records(target: Broker, tmp_path: Path) -> None:
    scene = stored(target, tmp_path)
    admin = AdminClient({"bootstrap.servers": target.bootstrap, "log_level": 0})
    for future in admin.delete_topics([scene.topic]).values():
        future.result(PATIENCE_S)
    eventually(
        lambda: scene.topic not in admin.list_topics(timeout=PATIENCE_S).topics, "it is deleted"
    )
    create_topic(target.bootstrap, scene.topic)
    scene.produce(100)
    for wish in (("--before-offset", 50), ("--all-verified",), ("--all-verified", "--deep")):
        refused = scene.purged(*wish, "--up-to-verified", "--yes", code=3)
        assert "deleted and created again" in refused["stderr"]
        assert column(refused, "outcome") == ["refused"]
    assert scene.bounds() == (0, 100)


def test_objects_in_no_manifest_go_if_the_topic_and_the_group_confirm_them(
    target: Broker, tmp_path: Path
) -> None:
    """As the Java connector leaves a bucket: no manifests, and the group has committed."""
    scene = stored(target, tmp_path)
    for manifest in scene.files("_tickertape"):
        manifest.unlink()
    wish = ("--before-offset", 90, "--yes")
    assert "unproven" in scene.purged(*wish, code=3)["stderr"]
    (partition,) = scene.purged(*wish, "--deep", code=3)["partitions"]
    assert partition["stop"]["reason"] == "unfinished", "nobody knows whose they are"
    assert scene.bounds() == (0, 100)
    assert column(scene.purged(*wish, "--deep", "--connector", scene.topic), "delete_to") == [90]
    assert scene.bounds() == (90, 100)


def test_what_the_cluster_refuses_is_told_by_partition(target: Broker, tmp_path: Path) -> None:
    scene = stored(target, tmp_path)
    cluster = Cluster(target.bootstrap, [], [])
    cluster.alter_configs("topic", scene.topic, [("SET", "cleanup.policy", "compact")])
    failed = scene.purged("--before-offset", 50, "--yes", code=1)
    assert column(failed, "outcome") == ["failed"]
    assert column(failed, "error")[0].startswith(f"{scene.topic}-0: ")
    assert scene.bounds() == (0, 100)
    assert scene.purge("--before-offset", 50, "--yes", "-p", 7).stderr == (
        f"tape: --partition 7: topic {scene.topic} has 1 partitions\n"
    )


def test_readers_from_before_go_on_at_the_new_start(target: Broker, tmp_path: Path) -> None:
    scene = stored(target, tmp_path)
    group = {
        "bootstrap.servers": target.bootstrap,
        "group.id": unique("group"),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    behind = Consumer(group)
    behind.commit(offsets=[TopicPartition(scene.topic, 0, 10)], asynchronous=False)
    behind.close()
    assert scene.asked("n", "--before-offset", 70) == 130
    assert scene.bounds() == (0, 100)
    assert scene.asked("y", "--before-offset", 70) == 0
    reader = Consumer(group)
    reader.subscribe([scene.topic])
    seen: list[int | None] = []
    while len(seen) < 30:
        seen += [message.offset() for message in reader.consume(30, timeout=PATIENCE_S)]
    reader.close()
    assert seen == list(range(70, 100))


@pytest.mark.slow
def test_markers_need_no_backup_and_an_open_transaction_ends_the_proof(
    target: Broker, tmp_path: Path
) -> None:
    scene = Purged(target, tmp_path, partitions=1)
    settings = {"bootstrap.servers": target.bootstrap, "transactional.id": unique("tx")}
    producer = Producer(settings)
    producer.init_transactions(PATIENCE_S)
    for commits in (False, True):
        producer.begin_transaction()
        producer.produce(scene.topic, b"tick", partition=0)
        producer.flush(PATIENCE_S)
        if commits:
            producer.commit_transaction(PATIENCE_S)
        else:
            producer.abort_transaction(PATIENCE_S)
    scene.once()  # 0 is aborted, 1 and 3 are markers
    done = scene.purged("--before-offset", 4, "--dry-run")
    assert (column(done, "verified_to"), column(done, "delete_to")) == ([4], [3])
    producer.begin_transaction()
    producer.produce(scene.topic, b"open", partition=0)
    producer.flush(PATIENCE_S)
    refused = scene.purged("--before-offset", 5, "--yes", code=3)
    assert column(refused, "stop") == [{"offset": 4, "reason": "open", "finding": None}]
    assert scene.bounds()[0] == 0
    producer.abort_transaction(PATIENCE_S)
    assert column(scene.purged("--before-offset", 5, "--yes"), "delete_to") == [3]
    assert scene.bounds()[0] == 3
    assert scene.once()["records"] == 0
