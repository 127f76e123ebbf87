"""security.json: what is in it, and that a crash or a full disk never leaves half a change."""

from pathlib import Path

import pytest
from tests.unit.broker.harness import DATA_DIR

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import FakeFileSystem, PowerCut
from tickertape.base.fakes import SeededRng
from tickertape.base.world import OsFileSystem
from tickertape.broker.state.acl import Acl, Operation, Pattern, Permission, Resource
from tickertape.broker.state.scram import Mechanism, credential_of, salted_password
from tickertape.broker.state.security import FILE_NAME, Security
from tickertape.broker.state.settings import BrokerSettings

NEVER = 1 << 30
RULE = Acl(Resource.TOPIC, "t", Pattern.PREFIXED, "User:a", "*", Operation.READ, Permission.ALLOW)
KEY = ("alice", Mechanism.SHA_256)
CREDENTIAL = credential_of(
    Mechanism.SHA_256, salted_password(Mechanism.SHA_256, "secret", b"salt", 4096), b"salt", 4096
)
QUOTA = ((("user", None),), {"producer_byte_rate": 1024.0})
GOLDEN = b"""{
 "version": 1,
 "secret": "YOWzHBjgtJvdWcO8K5VgvGWBWPZKiyyhRmDt7XqEFcc=",
 "scram": [
  {
   "user": "alice",
   "mechanism": "SCRAM-SHA-256",
   "salt": "c2FsdA==",
   "stored_key": "tSbJzNKTYZKuydAAnmJoTC1ljQErJtxshZUpn9Z9RKs=",
   "server_key": "Gfzy06DHLDlDwoMFsmWhZkfJwbxQ1tqkUmO4KqsJRf0=",
   "iterations": 4096
  }
 ],
 "acls": [
  {
   "resource": "TOPIC",
   "name": "t",
   "pattern": "PREFIXED",
   "principal": "User:a",
   "host": "*",
   "operation": "READ",
   "permission": "ALLOW"
  }
 ],
 "quotas": [
  {
   "entity": [
    [
     "user",
     null
    ]
   ],
   "values": {
    "producer_byte_rate": 1024.0
   }
  }
 ]
}
"""


@pytest.fixture
def fs() -> FakeFileSystem:
    fs = FakeFileSystem()
    fs.make_dir(DATA_DIR)
    fs.sync_dir("/")
    return fs


def loaded(fs: FakeFileSystem) -> Security:
    security = Security(fs, DATA_DIR, SeededRng())
    security.load()
    return security


def test_the_file_of_version_1(fs: FakeFileSystem) -> None:
    fs.write_atomic(f"{DATA_DIR}/{FILE_NAME}", GOLDEN)
    security = loaded(fs)
    assert (list(security.acls), security.quotas) == ([RULE], dict([QUOTA]))
    assert set(security.credentials) == {KEY}
    security.change_acls([], [RULE])
    security.change_acls([RULE], [])
    assert fs.read(f"{DATA_DIR}/{FILE_NAME}") == GOLDEN


def test_what_was_changed_is_there_after_a_crash(fs: FakeFileSystem) -> None:
    security = loaded(fs)
    security.change_credentials({KEY: CREDENTIAL}, ())
    security.change_acls([RULE], ())
    security.change_quotas(dict([QUOTA]))
    fs.crash()
    again = loaded(fs)
    assert again.credentials == {KEY: CREDENTIAL}
    assert list(again.acls) == [RULE]
    assert again.quotas == dict([QUOTA])
    assert again.credential(Mechanism.SHA_256, "x") == security.credential(Mechanism.SHA_256, "x")
    again.change_credentials({}, [KEY])
    again.change_quotas({QUOTA[0]: {}})
    fs.crash()
    final = loaded(fs)
    assert (final.credentials, final.quotas, list(final.acls)) == ({}, {}, [RULE])


def test_a_power_cut_leaves_the_old_or_the_new(fs: FakeFileSystem) -> None:
    for nth in range(1, 12):
        security = loaded(fs)
        before = dict(security.acls)
        change = ([], [RULE]) if RULE in before else ([RULE], [])
        fs.cut_at(nth)
        try:
            security.change_acls(*change)
            after = dict(security.acls)
        except PowerCut:
            after = {RULE: None} if not before else {}
        fs.cut_at(NEVER)
        fs.crash()
        assert loaded(fs).acls in (before, after)


@pytest.mark.parametrize("salt", [b"1v5hk2m0q4z8x7c6b3n9a0s1d2", bytes(range(192, 256))])
def test_who_is_nobody_looks_like_who_is_somebody(fs: FakeFileSystem, salt: bytes) -> None:
    security = loaded(fs)
    mechanism = Mechanism.SHA_512
    somebody = credential_of(mechanism, b"salted", salt, 8192)
    security.change_credentials({("alice", mechanism): somebody}, ())
    nobodies = [security.credential(mechanism, f"user {number}") for number in range(50)]
    assert {each.iterations for each in nobodies} == {8192}
    assert {len(each.salt) for each in nobodies} == {len(salt)}
    assert {each.salt.isalnum() for each in nobodies} == {salt.isalnum()}
    assert len({each.salt for each in nobodies}) == 50
    assert loaded(fs).credential(mechanism, "user 7") == nobodies[7]
    assert security.credential(mechanism, "alice") == somebody


@pytest.mark.parametrize("cut", range(0, len(GOLDEN) - 2, 37))
def test_a_damaged_file_is_no_file_of_ours(fs: FakeFileSystem, cut: int) -> None:
    fs.write_atomic(f"{DATA_DIR}/{FILE_NAME}", GOLDEN[:cut])
    with pytest.raises(StorageError, match="damaged") as caught:
        loaded(fs)
    assert "stored_key" not in str(caught.value)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"SCRAM-SHA-256", b"SCRAM-SHA-999"),
        (b"tSbJzNKTYZKuydAAnmJoTC1ljQErJtxshZUpn9Z9RKs=", b"tSbJz*KTYZKuydAAnmJoTC1ljQErJtx="),
        (b'"values": {\n    "producer_byte_rate": 1024.0\n   }', b'"values": []'),
        (b"1024.0", b"0"),
        (b"1024.0", b"NaN"),
        (b"1024.0", b"Infinity"),
    ],
)
def test_one_wrong_word_is_a_damage_too(fs: FakeFileSystem, good: bytes, bad: bytes) -> None:
    assert good in GOLDEN
    fs.write_atomic(f"{DATA_DIR}/{FILE_NAME}", GOLDEN.replace(good, bad))
    with pytest.raises(StorageError, match="damaged"):
        loaded(fs)


def test_another_version_is_refused(fs: FakeFileSystem) -> None:
    fs.write_atomic(f"{DATA_DIR}/{FILE_NAME}", GOLDEN.replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(StorageError, match="version 2, want 1"):
        loaded(fs)


def test_no_password_and_no_key_is_ever_shown(fs: FakeFileSystem) -> None:
    security = loaded(fs)
    security.change_credentials({KEY: CREDENTIAL}, ())
    assert b"secret\x22: \x22secret" not in (fs.read(f"{DATA_DIR}/{FILE_NAME}") or b"")
    assert repr(CREDENTIAL) == "Credential(iterations=4096)"


def test_nobody_else_on_the_machine_can_read_it(tmp_path: Path) -> None:
    security = Security(OsFileSystem(), str(tmp_path), SeededRng())
    security.change_acls([RULE], ())
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_settings_do_not_show_what_the_file_said() -> None:
    settings = BrokerSettings(given={"listener.name.x.plain.sasl.jaas.config": "secret"})
    assert "secret" not in repr(settings)
