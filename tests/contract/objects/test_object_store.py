"""What every object store promises, whatever is behind it."""

import pytest

from tickertape.base.errors import MisuseError
from tickertape.objects.store import ObjectStore, PutOutcome, sha256_hex, stored_sha256


def keys(store: ObjectStore, prefix: str, start_after: str = "") -> list[str]:
    return [info.key for info in store.list(prefix, start_after)]


def test_what_was_put_is_got(store: ObjectStore) -> None:
    assert store.put("topics/t/partition=0/t+0+0000000000.json", b"a\n") is PutOutcome.CREATED
    assert store.get("topics/t/partition=0/t+0+0000000000.json") == b"a\n"


def test_a_taken_key_stays_as_it_was(store: ObjectStore) -> None:
    store.put("a", b"first")
    assert store.put("a", b"second") is PutOutcome.EXISTS
    assert store.get("a") == b"first"


def test_replaces_only_when_told(store: ObjectStore) -> None:
    store.put("a", b"first")
    assert store.put("a", b"second", create_only=False) is PutOutcome.CREATED
    assert store.get("a") == b"second"


def test_absent_is_none(store: ObjectStore) -> None:
    store.put("folder/a", b"x")
    for key in ("b", "folder", "folder/a/b", "folder/b"):
        assert store.get(key) is None
        assert store.head(key) is None
        assert stored_sha256(store, key) is None


def test_empty_and_large_objects(store: ObjectStore) -> None:
    large = bytes(range(256)) * 40_000
    store.put("empty", b"")
    store.put("large", large)
    assert store.get("empty") == b""
    assert store.get("large") == large
    info = store.head("large")
    assert info is not None
    assert info.size == len(large)


def test_the_digest_is_of_what_is_stored(store: ObjectStore) -> None:
    store.put("a", b"first")
    store.put("a", b"second")
    assert stored_sha256(store, "a") == sha256_hex(b"first")


def test_lists_in_the_byte_order_of_whole_keys(store: ObjectStore) -> None:
    # "a-b" < "a.json" < "a/b" < "a0": a slash sorts as the character it is, not as an end.
    want = ["a-b", "a.json", "a/b", "a/b0", "a0", "é/1", "｡", "😀"]
    for key in reversed(want):
        store.put(key, b"x")
    assert keys(store, "") == want
    assert [info.size for info in store.list("")] == [1] * len(want)


def test_lists_by_prefix_and_position(store: ObjectStore) -> None:
    everything = ["m/1", "m/2", "m/20/1", "m/20/2", "m/3", "n/1"]
    for key in everything:
        store.put(key, b"x")
    assert keys(store, "m/") == everything[:5]
    assert keys(store, "m/2") == everything[1:4]
    assert keys(store, "m/20/") == everything[2:4]
    assert keys(store, "m/", "m/2") == everything[2:5]
    assert keys(store, "m/", "m/20/1") == everything[3:5]
    assert keys(store, "m/", "m/9") == []
    assert keys(store, "o/") == []


def test_every_start_position_gives_the_rest(store: ObjectStore) -> None:
    everything = ["a-b", "a.json", "a/b", "a/b/c.x", "a0", "b/c/d/e"]
    everything.remove("a/b")  # a file system cannot hold both a/b and a/b/c
    for key in everything:
        store.put(key, b"x")
    for position in ["", "a", "a/", "a/b", "a/b/c", "a/b/c.y", "b", "b/c/d", "c", *everything]:
        assert keys(store, "", position) == [key for key in everything if key > position]


def test_refuses_keys_that_are_not_portable(store: ObjectStore) -> None:
    for key in ["", "/a", "a/", "a//b", ".", "../a", "a/../b", "a/./b", "a\0b", "x" * 1025]:
        with pytest.raises(MisuseError):
            store.put(key, b"x")
    assert keys(store, "") == []


def test_odd_names_survive(store: ObjectStore) -> None:
    for key in ["a b/c+d/é=ü", "q?x&y=%2F", "#/~$HOME"]:
        assert store.put(key, key.encode()) is PutOutcome.CREATED
        assert store.get(key) == key.encode()
        assert keys(store, key) == [key]


def test_check_passes_and_again(store: ObjectStore) -> None:
    warnings = store.check()
    assert bool(warnings) == (store.url == "memory:")
    assert store.check() == warnings
    assert all(info.key.startswith("_tickertape/") for info in store.list(""))
