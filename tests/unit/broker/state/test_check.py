"""A whole data directory is called whole, also after a crash; every damage is found and named."""

import json
import struct
from collections.abc import Callable

import pytest
from tests.unit.broker.harness import DATA_DIR, Core, batch
from tests.unit.broker.txn import Producer

from tickertape.base.fake_fs import FakeFileSystem, Loss
from tickertape.broker.state.check import DataDirCheck
from tickertape.log.check import Problem

MARKER_BYTES = 78
IDEMPOTENT = {"producer_id": 4242, "producer_epoch": 0}
FIRST = f"{DATA_DIR}/t-0/00000000000000000000"


def worked() -> Core:
    """Rolled segments, an idempotent producer, decided transactions, committed offsets."""
    core = Core()
    core.create("t", 2, segment_bytes="400", index_interval_bytes="0")
    core.create("tx")
    for number in range(10):
        one = batch(f"value {number}", "x" * 20, base_sequence=2 * number, **IDEMPOTENT)
        core.produce("t", one)
    producer = Producer(core)
    producer.init()
    for commit in (False, True):
        producer.begin("tx")
        producer.send("tx", "a", "b")
        producer.begin_offsets("readers")
        producer.send_offset("readers", "t", 3)
        producer.end(commit=commit)
        core.pass_ms(10)
    core.pass_ms(10)
    return core


def stopped() -> FakeFileSystem:
    core = worked()
    core.sync()
    assert core.broker.stop()
    return core.fs


def problems(fs: FakeFileSystem) -> list[Problem]:
    return [problem for problem in DataDirCheck(fs, DATA_DIR).run() if not problem.is_remark]


def kinds(fs: FakeFileSystem) -> set[str]:
    return {problem.kind for problem in problems(fs)}


def test_what_a_broker_leaves_is_whole_and_counted() -> None:
    fs = stopped()
    check = DataDirCheck(fs, DATA_DIR)
    assert list(check.run()) == []
    assert check.partitions["t", 0].records == 20
    assert check.partitions["t", 0].end == 20
    assert check.partitions["t", 1].records == 0
    assert check.partitions["tx", 0].batches == 4  # two of data, two markers
    assert len([name for name in fs.list(f"{DATA_DIR}/t-0") if name.endswith(".log")]) > 2


@pytest.mark.parametrize("loss", list(Loss))
def test_what_a_crash_leaves_is_whole_before_and_after_recovery(loss: Loss) -> None:
    core = worked()
    core.auto_sync = False
    core.produce("t", batch("not synced"))
    core.fs.crash(loss)
    assert kinds(core.fs) <= {"torn"}
    core.start()
    core.sync()
    assert core.broker.stop()
    assert problems(core.fs) == []


def overwrite(path: str, at: int, data: bytes) -> Callable[[FakeFileSystem], None]:
    def damage(fs: FakeFileSystem) -> None:
        file = fs.open(path)
        file.pwrite(at if at >= 0 else file.size() + at, data)
        file.close()

    return damage


def cut(path: str, length: int) -> Callable[[FakeFileSystem], None]:
    def damage(fs: FakeFileSystem) -> None:
        file = fs.open(path)
        file.truncate(file.size() - length)
        file.close()

    return damage


def only(suffix: str, folder: str, fs: FakeFileSystem) -> str:
    found = [name for name in fs.list(f"{DATA_DIR}/{folder}") if name.endswith(suffix)]
    return f"{DATA_DIR}/{folder}/{found[-1]}"


def flip(folder: str, suffix: str, at: int) -> Callable[[FakeFileSystem], None]:
    def damage(fs: FakeFileSystem) -> None:
        path = only(suffix, folder, fs)
        stored = bytearray(fs.read(path) or b"")
        stored[at] ^= 0x55
        fs.write_atomic(path, bytes(stored))

    return damage


def swapped_topic_ids(fs: FakeFileSystem) -> None:
    path = f"{DATA_DIR}/topics.json"
    document = json.loads(fs.read(path) or b"")
    one, other, *_ = document["topics"]
    one["id"], other["id"] = other["id"], one["id"]
    fs.write_atomic(path, json.dumps(document).encode())


def same_topic_id(fs: FakeFileSystem) -> None:
    path = f"{DATA_DIR}/topics.json"
    document = json.loads(fs.read(path) or b"")
    document["topics"][1]["id"] = document["topics"][0]["id"]
    fs.write_atomic(path, json.dumps(document).encode())


def without_a_segment(fs: FakeFileSystem) -> None:
    logs = [name for name in fs.list(f"{DATA_DIR}/t-0") if name.endswith(".log")]
    fs.remove(f"{DATA_DIR}/t-0/{logs[1]}")


def a_batch_twice(fs: FakeFileSystem) -> None:
    """As a broker would that does not recognise a retry: same sequences at the next offset."""
    path = only(".log", "t-0", fs)
    stored = fs.read(path) or b""
    again = bytearray(stored)
    (base,) = struct.unpack_from(">q", again)
    (delta,) = struct.unpack_from(">i", again, 23)
    struct.pack_into(">q", again, 0, base + delta + 1)
    file = fs.open(path)
    file.append((bytes(again),))
    file.close()


def lost_tail_of_committed(fs: FakeFileSystem) -> None:
    """The log is cut below an offset that a group has committed."""
    for name in fs.list(f"{DATA_DIR}/t-0"):
        if name.endswith((".log", ".index", ".timeindex")) and not name.startswith("0" * 20):
            fs.remove(f"{DATA_DIR}/t-0/{name}")
    file = fs.open(f"{FIRST}.log")
    file.truncate(0)
    file.close()


def remove(path: str) -> Callable[[FakeFileSystem], None]:
    return lambda fs: fs.remove(path)


def write(path: str, content: bytes) -> Callable[[FakeFileSystem], None]:
    return lambda fs: fs.write_atomic(path, content)


def stray_partition(fs: FakeFileSystem) -> None:
    fs.make_dir(f"{DATA_DIR}/lost-3")


def forgotten_transaction(fs: FakeFileSystem) -> None:
    """Its last marker is gone from the log, while the coordinator calls it complete."""
    cut(only(".log", "tx-0", fs), MARKER_BYTES)(fs)


DAMAGES: dict[str, tuple[Callable[[FakeFileSystem], None], str]] = {
    "a flipped bit in a record": (overwrite(f"{FIRST}.log", 70, b"\xff"), "crc"),
    "a batch cut short": (cut(f"{FIRST}.log", 5), "torn"),
    "garbage instead of a batch": (overwrite(f"{FIRST}.log", 16, b"\x07"), "torn"),
    "an offset that goes back": (overwrite(f"{FIRST}.log", 0, bytes(7) + b"\x09"), "gap"),
    "a segment that is missing": (without_a_segment, "gap"),
    "a batch appended twice": (a_batch_twice, "sequence"),
    "an index that points nowhere": (overwrite(f"{FIRST}.index", 4, b"\0\0\0\x09"), "index"),
    "half an index entry": (cut(f"{FIRST}.index", 3), "index"),
    "a time index of other times": (overwrite(f"{FIRST}.timeindex", 0, bytes(8)), "time-index"),
    "a transaction index without entries": (
        lambda fs: fs.write_atomic(only(".txnindex", "tx-0", fs), b""),
        "txn-index",
    ),
    "a damaged transaction index": (flip("tx-0", ".txnindex", 0), "txn-index"),
    "a damaged snapshot": (flip("t-0", ".snapshot", 20), "snapshot"),
    "a damaged window": (flip("t-0", ".window", 30), "window"),
    "damaged leader epochs": (write(f"{DATA_DIR}/t-0/leader-epoch-checkpoint", b"0\n7\n"), "epoch"),
    "other leader epochs": (
        write(f"{DATA_DIR}/t-0/leader-epoch-checkpoint", b"0\n1\n9 0\n"),
        "epoch",
    ),
    "a recovery point beyond the end": (
        write(f"{DATA_DIR}/t-0/recovery-point-offset-checkpoint", b"0\n1\nt 0 999\n"),
        "checkpoint",
    ),
    "damaged partition metadata": (write(f"{DATA_DIR}/t-0/partition.metadata", b"?"), "metadata"),
    "folders of another topic": (swapped_topic_ids, "topic-id"),
    "two topics of one id": (same_topic_id, "topic-id"),
    "a damaged list of topics": (write(f"{DATA_DIR}/topics.json", b"{"), "topics"),
    "a folder of no topic": (stray_partition, "orphan"),
    "a file of no segment": (write(f"{DATA_DIR}/t-0/{77:020d}.index", b""), "orphan"),
    "a partition that is missing": (remove(f"{DATA_DIR}/t-1"), "missing"),
    "a log cut below a committed offset": (lost_tail_of_committed, "group-offset"),
    "a transaction that nobody will end": (forgotten_transaction, "hanging-transaction"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_found_and_named(name: str) -> None:
    damage, kind = DAMAGES[name]
    fs = stopped()
    damage(fs)
    found = problems(fs)
    assert kind in {problem.kind for problem in found}, found
    assert all(problem.text and problem.path for problem in found)


def test_checking_changes_nothing() -> None:
    fs = stopped()
    before = fs.mutations
    list(DataDirCheck(fs, DATA_DIR).run())
    assert fs.mutations == before
