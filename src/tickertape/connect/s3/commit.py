"""One flush, exactly once: intent, objects, manifest, offset, in that order (decision record 0004).

Killed between any two steps, whoever is assigned the partition next finishes this very flush
(connect.runtime.recovery). Repeated from the start, by us after an error or by somebody who took
over, every step finds its own work and changes nothing. Nothing here waits or retries; ask again.
"""

from enum import Enum
from typing import Protocol

from tickertape.base.errors import StorageError, TapeError
from tickertape.base.ids import TopicPartition
from tickertape.connect.s3.assemble import BuiltObject, Flush
from tickertape.connect.s3.intent import (
    METADATA_BYTES_MAX,
    IntentReference,
    encode_intent,
    encode_reference,
)
from tickertape.connect.s3.manifest import decode_manifest, encode_manifest
from tickertape.connect.s3.names import intent_key, manifest_key
from tickertape.objects.store import ObjectStore, PutOutcome, sha256_hex, stored_sha256

_BYTES = "application/octet-stream"
_CONTENT_TYPES = {".json": "application/json", ".gz": "application/gzip"}


class GroupError(TapeError):
    """The group coordinator refused or did not answer. ``retriable``: ask the same again later.

    After a retriable error the commit may have been done: repeating it changes nothing.
    """

    def __init__(self, message: str, *, retriable: bool) -> None:
        super().__init__(message)
        self.retriable = retriable


class CommitOutcome(Enum):
    """What the group coordinator said to a commit."""

    DONE = "done"
    FENCED = "fenced"  # we are no member of this generation: the partition may be another's
    TOO_LONG = "too long"  # offset.metadata.max.bytes of the broker


class Group(Protocol):
    """The consumer group, as far as a flush needs it. May be called from any thread."""

    def commit(self, tp: TopicPartition, offset: int, metadata: str) -> CommitOutcome:
        """Commit synchronously, if membership is still that of the assignment. GroupError."""
        ...


class FlushOutcome(Enum):
    """How a flush ended."""

    DONE = "done"
    FENCED = "fenced"  # somebody else owns the partition and will finish or redo it


class FlushWriter:
    """Carries flushes of one connector out. Different partitions may be written in parallel."""

    def __init__(self, *, connector: str, store: ObjectStore, group: Group) -> None:
        self._connector = connector
        self._store = store
        self._group = group

    def write(self, flush: Flush, *, followed: bool = False) -> FlushOutcome:
        """Do all four steps. ObjectStoreError and GroupError leave it to be repeated, or found.

        ``followed``: a flush that starts at ``end + 1`` is written next. Its intent is a commit of
        that very offset, so the last step is left to it.
        """
        if self._record_intent(flush) is FlushOutcome.FENCED:
            return FlushOutcome.FENCED
        for built in flush.objects:
            flush = self._put_object(flush, built)
        self._put_manifest(flush)
        if followed:
            return FlushOutcome.DONE
        return self.catch_up(flush.tp, flush.end + 1)

    def _record_intent(self, flush: Flush) -> FlushOutcome:
        encoded = encode_intent(flush.intent)
        outcome = CommitOutcome.TOO_LONG
        if len(encoded) <= METADATA_BYTES_MAX:
            outcome = self._group.commit(flush.tp, flush.start, encoded.decode())
        if outcome is CommitOutcome.TOO_LONG:
            outcome = self._record_elsewhere(flush, encoded)
        return FlushOutcome.DONE if outcome is CommitOutcome.DONE else FlushOutcome.FENCED

    def _record_elsewhere(self, flush: Flush, encoded: bytes) -> CommitOutcome:
        digest = sha256_hex(encoded)
        key = intent_key(self._connector, flush.tp, flush.start, digest)
        self._store.put(key, encoded, content_type="application/json")  # EXISTS: the same bytes
        reference = encode_reference(IntentReference(key, digest))
        outcome = self._group.commit(flush.tp, flush.start, reference)
        if outcome is CommitOutcome.TOO_LONG:
            raise GroupError(
                f"{flush.tp}: the broker refused {len(reference)} bytes of commit metadata:"
                " raise its offset.metadata.max.bytes (default 4096)",
                retriable=False,
            )
        return outcome

    def _put_object(self, flush: Flush, built: BuiltObject) -> Flush:
        """The flush, with what is stored if somebody stored the same records in other bytes."""
        content_type = _CONTENT_TYPES.get(built.key[built.key.rfind(".") :], _BYTES)
        outcome = self._store.put(built.key, built.data, content_type=content_type)
        if outcome is PutOutcome.CREATED or stored_sha256(self._store, built.key) == built.sha256:
            return flush
        stored = self._existing(built.key)
        try:
            return flush.adopt(built.key, stored)
        except StorageError as error:
            raise StorageError(
                f"{self._store.url}: {error}. It exists already and is not of {flush.tp}"
                f" {flush.start}..{flush.end}: was the topic deleted and created again, do two"
                " connectors write here, or did compaction take records of a begun flush?"
                " Move the old objects away, or choose another topics.dir."
                " Nothing was overwritten, nothing was skipped"
            ) from error

    def _put_manifest(self, flush: Flush) -> None:
        manifest = flush.manifest()
        key = manifest_key(self._connector, flush.tp, flush.start)
        encoded = encode_manifest(manifest)
        if self._store.put(key, encoded, content_type="application/json") is PutOutcome.CREATED:
            return
        there = self._existing(key)
        if there == encoded:
            return
        found = decode_manifest(there)
        raise StorageError(
            f"{self._store.url}: {key} exists and describes another flush of {flush.tp}: got"
            f" offsets {found.start}..{found.end} of topic id {found.topic_id or 'unknown'}, want"
            f" {manifest.start}..{manifest.end} of {manifest.topic_id or 'unknown'}."
            " Was the topic deleted and created again? Choose another connector name"
        )

    def _existing(self, key: str) -> bytes:
        """What a put was refused for."""
        stored = self._store.get(key)
        if stored is None:
            raise StorageError(f"{self._store.url}: {key} existed and is gone: who deletes?")
        return stored

    def catch_up(self, tp: TopicPartition, offset: int) -> FlushOutcome:
        """Tell the group that all below ``offset`` is stored. The last step of every flush."""
        outcome = self._group.commit(tp, offset, "")
        return FlushOutcome.DONE if outcome is CommitOutcome.DONE else FlushOutcome.FENCED
