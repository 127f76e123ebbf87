"""Files that the core owns, waiting requests, and upkeep."""

import json
from pathlib import Path
from uuid import UUID

import pytest
from tests.unit.broker.harness import DATA_DIR, Core, batch, fetched, produced, values_of

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import FakeFileSystem, Loss, PowerCut
from tickertape.base.fakes import FakeClock, OneWorker, SeededRng
from tickertape.base.world import OsFileSystem
from tickertape.broker.state import topic_configs
from tickertape.broker.state.internal_log import partition_for
from tickertape.broker.state.producer_ids import BLOCK_SIZE, ProducerIds
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.topic_ids import random_topic_id
from tickertape.broker.state.topics import FILE_NAME, TopicRegistry, name_fault
from tickertape.log.config import LogConfig
from tickertape.wire.error_codes import ErrorCode

NEVER = 1 << 30  # as a cut: no call is the billionth


@pytest.fixture
def fs() -> FakeFileSystem:
    fs = FakeFileSystem()
    fs.make_dir(DATA_DIR)
    fs.sync_dir("/")
    return fs


# -- producer ids ----------------------------------------------------------------------------


def test_producer_ids_ascend_and_a_crash_skips_the_rest_of_a_block(fs: FakeFileSystem) -> None:
    ids = ProducerIds(fs, DATA_DIR)
    ids.load()
    assert [ids.take() for _ in range(3)] == [0, 1, 2]
    fs.crash()
    again = ProducerIds(fs, DATA_DIR)
    again.load()
    assert again.take() == BLOCK_SIZE


def test_producer_id_is_not_handed_out_before_its_block_is_durable(fs: FakeFileSystem) -> None:
    for nth in range(1, 20):
        ids = ProducerIds(fs, DATA_DIR)
        ids.load()
        fs.cut_at(nth)
        try:
            taken = ids.take()
        except PowerCut:
            fs.crash()
            continue
        fs.cut_at(NEVER)
        fs.crash()
        ids = ProducerIds(fs, DATA_DIR)
        ids.load()
        assert ids.take() > taken
        return
    pytest.fail("no id was ever taken")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version":2,"next":0}', b'{"version":1,"next":-1}']
)
def test_damaged_producer_id_file_stops_the_start(fs: FakeFileSystem, content: bytes) -> None:
    fs.write_atomic(f"{DATA_DIR}/producer_ids.json", content)
    with pytest.raises(StorageError, match="producer_ids"):
        ProducerIds(fs, DATA_DIR).load()


# -- topics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 249])
def test_good_names(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "a\n", "é", "x" * 250])
def test_bad_names(name: str) -> None:
    assert name_fault(name)


def test_topic_ids_are_never_reserved_nor_start_with_a_dash() -> None:
    rng = SeededRng(3)
    ids = [random_topic_id(rng) for _ in range(500)]
    assert len(set(ids)) == 500
    assert all(topic_id.int > 1 and topic_id.bytes[0] >> 2 != 62 for topic_id in ids)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"version":2,"topics":[]}',
        b'{"version":1,"topics":{}}',
        b'{"version":1,"topics":[{"name":"t"}]}',
        b'{"version":1,"topics":[{"name":"t","id":"x","partitions":1,"configs":{}}]}',
    ],
)
def test_damaged_topic_file_stops_the_start(content: bytes) -> None:
    core = Core()
    core.fs.write_atomic(f"{DATA_DIR}/{FILE_NAME}", content)
    with pytest.raises(StorageError, match=FILE_NAME):
        core.start()


def test_folders_of_no_topic_are_reported_and_left_alone() -> None:
    core = Core()
    core.create("t")
    core.fs.make_dir(f"{DATA_DIR}/stranger-0")
    core.restart()
    assert core.report.folders_ignored == ["stranger-0"]
    assert "stranger-0" in core.fs.list(DATA_DIR)


def test_every_cut_during_creation_leaves_the_topic_whole_or_absent() -> None:
    outcomes = set()
    for nth in range(1, 60):
        core = Core()
        core.fs.cut_at(nth)
        try:
            core.create("t", 2)
            acknowledged = True
        except PowerCut:
            acknowledged = False
        core.fs.cut_at(NEVER)
        core.crash()
        topic = core.broker.topics.get("t")
        assert topic is not None or not acknowledged
        outcomes.add((acknowledged, topic is not None))
        if topic is not None:
            assert produced(core.produce("t", batch("a"), partition=1)).error == 0
            assert produced(core.produce("t", batch("a"), partition=0)).error == 0
        if acknowledged:
            break
    assert outcomes == {(False, False), (False, True), (True, True)}


def test_every_cut_during_deletion_leaves_the_topic_whole_or_absent() -> None:
    outcomes = set()
    for nth in range(1, 60):
        core = Core()
        core.create("t", 2)
        core.produce("t", batch("a"))
        topic = core.broker.topics.get("t")
        assert topic is not None
        core.fs.cut_at(nth)
        try:
            core.broker.delete_topic(topic)
            acknowledged = True
        except PowerCut:
            acknowledged = False
        core.fs.cut_at(NEVER)
        core.crash()
        left = core.broker.topics.get("t")
        outcomes.add((acknowledged, left is None))
        assert left is None or not acknowledged
        if left is None:
            core.create("t", 2)
            assert fetched(core.fetch("t", 0)).high_watermark == 0
        else:
            assert fetched(core.fetch("t", 0)).high_watermark == 1
        if acknowledged:
            break
    assert outcomes == {(False, False), (False, True), (True, True)}


def test_topics_with_the_longest_name_can_be_deleted(tmp_path: Path) -> None:
    fs, clock, name = OsFileSystem(), FakeClock(), "x" * 249
    topics = TopicRegistry(fs, clock, OneWorker(), str(tmp_path), LogConfig())
    for number in range(2):
        topics.delete(topics.create(name, UUID(int=number + 2), 2, {}))
    assert len(list(tmp_path.glob("*-delete"))) == 4
    again = TopicRegistry(fs, clock, OneWorker(), str(tmp_path), LogConfig())
    assert again.load(clean=False).deletions_finished == []
    again.sweep()
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_file_of_topics_is_as_documented() -> None:
    core = Core()
    core.create("t", 2, retention_ms="5")
    stored = json.loads(core.fs.read(f"{DATA_DIR}/{FILE_NAME}") or b"")
    topic = core.broker.topics.get("t")
    assert topic is not None
    assert stored == {
        "version": 1,
        "topics": [
            {
                "name": "t",
                "id": str(topic.topic_id),
                "partitions": 2,
                "configs": {"retention.ms": "5"},
            }
        ],
    }


# -- the data directory ----------------------------------------------------------------------


def test_cluster_id_is_made_once() -> None:
    core = Core()
    first = core.broker.cluster_id
    assert len(first) == 22
    core.crash()
    assert core.broker.cluster_id == first


def test_data_directory_of_another_node_is_refused() -> None:
    core = Core()
    core.settings = BrokerSettings(node_id=2)
    with pytest.raises(StorageError, match="node 1"):
        core.start()


def test_clean_stop_is_noticed_once() -> None:
    core = Core()
    found = [core.report.clean]
    core.restart()
    found.append(core.report.clean)
    core.crash()
    found.append(core.report.clean)
    assert found == [False, True, False]


def test_stop_with_a_failed_log_is_not_clean() -> None:
    core = Core()
    core.create("t")
    core.auto_sync = False
    core.produce("t", batch("a"))
    core.fs.fail_always(frozenset({"sync"}))
    core.sync()
    assert not core.broker.stop()
    assert any("t-0" in line for line in core.broker.take_notices())


# -- configs ---------------------------------------------------------------------------------


def test_every_log_config_is_a_setting_of_the_log_with_its_default_in_range() -> None:
    config = LogConfig()
    for name, text in topic_configs.described(config).items():
        assert topic_configs.checked({name: text}) == {name: text}
    assert topic_configs.apply(config, topic_configs.described(config)) == config


def test_null_configs_are_dropped() -> None:
    assert topic_configs.checked({"retention.ms": None}) == {}


# -- groups' partitions ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "partition"),
    [
        ("", 0),
        ("a", 97 % 50),
        ("test-group", 12),
        ("polygenelubricants", 0),  # its hash is Integer.MIN_VALUE, which Kafka maps to 0
    ],
)
def test_partition_of_a_group_is_kafkas(group: str, partition: int) -> None:
    assert partition_for(group, 50) == partition


# -- upkeep ----------------------------------------------------------------------------------


def test_retention_deletes_and_says_so() -> None:
    core = Core()
    core.create("t", segment_bytes="200", retention_ms="1000")
    for value in "abcdef":
        core.produce("t", batch(value * 50))
    core.pass_ms(core.settings.log_retention_check_interval_ms)
    core.sync()
    assert any("retention" in line for line in core.broker.take_notices())
    assert fetched(core.fetch("t", 0)).error == ErrorCode.OFFSET_OUT_OF_RANGE
    assert fetched(core.fetch("t", 6)).log_start_offset > 0


def test_compaction_is_planned_and_keeps_the_newest() -> None:
    core = Core()
    core.create("c", cleanup_policy="compact", segment_bytes="400", min_cleanable_dirty_ratio="0.1")
    for number in range(20):
        core.produce("c", batch(f"v{number}"))
    core.pass_ms(core.settings.log_cleaner_backoff_ms)
    jobs = core.broker.compaction_jobs()
    assert len(jobs) == 1
    assert core.broker.compaction_jobs() == []
    jobs[0].run()
    core.broker.compacted(jobs[0])
    core.sync()
    assert core.broker.take_notices() == []
    assert jobs[0].records_dropped > 0
    core.crash()
    out = fetched(core.fetch("c", 19))
    assert out.high_watermark == 20


def remade(core: Core, **configs: str) -> None:
    """Topic t is deleted and there again, before a thread that is busy with the old one notices."""
    topic = core.broker.topics.get("t")
    assert topic is not None
    core.broker.delete_topic(topic)
    core.create("t", 1, **configs)


def test_sync_under_way_writes_nothing_into_the_next_topic_of_the_name() -> None:
    core = Core()
    core.create("t")
    core.auto_sync = False
    core.produce("t", batch("old"))
    partition = core.broker.topics.partition("t", 0)
    assert partition is not None
    ticket = partition.log.begin_sync()
    assert ticket is not None
    remade(core)
    before = core.fs.list("/data/t-0")
    ticket.run()
    partition.log.finish_sync(ticket, ok=True)
    assert core.fs.list("/data/t-0") == before
    core.broker.synced([partition.log])
    core.crash(Loss.NOTHING)
    assert core.broker.topics.partition("t", 0) is not None


def test_compaction_under_way_leaves_the_next_topic_of_the_name_alone() -> None:
    core = Core()
    configs = {"cleanup_policy": "compact", "segment_bytes": "400"}
    core.create("t", 1, **configs)
    for number in range(20):
        core.produce("t", batch(f"old {number}"))
    core.pass_ms(core.settings.log_cleaner_backoff_ms)
    (job,) = core.broker.compaction_jobs()
    remade(core, **configs)
    core.produce("t", batch("new"))
    job.run()
    core.broker.compacted(job)
    assert core.broker.dirty() == []
    core.crash(Loss.NOTHING)
    assert values_of(fetched(core.fetch("t", 0))) == ["new"]
    assert core.broker.take_notices() == []


def test_idle_broker_sleeps_until_its_next_deadline() -> None:
    core = Core()
    assert core.broker.tick() == core.settings.log_cleaner_backoff_ms
    core.create("t")
    core.fetch("t", 0, max_wait_ms=250)
    assert core.broker.tick() == 250


def test_notices_nobody_takes_are_bounded() -> None:
    core = Core()
    for number in range(3_000):
        core.broker.notice(str(number))
    lines = core.broker.take_notices()
    assert len(lines) == 1_000
    assert lines[-1] == "2999"
    assert core.broker.take_notices() == []
