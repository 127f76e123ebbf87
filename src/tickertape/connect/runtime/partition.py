"""One assigned partition: finishes the flush begun before us, then collects new ones. Pure."""

from collections.abc import Sequence

from tickertape.base.ids import TopicPartition
from tickertape.connect.s3.assemble import Flush, PartitionAssembler, RecordError, rebuild
from tickertape.connect.s3.chunk import Chunk
from tickertape.connect.s3.intent import Intent
from tickertape.connect.s3.settings import SinkSettings


class PartitionReader:
    """Turns the chunks of one partition into flushes. ``position`` is the next offset wanted."""

    def __init__(
        self,
        settings: SinkSettings,
        tp: TopicPartition,
        *,
        position: int,
        intent: Intent | None,
        topic_id: str,
    ) -> None:
        self.tp = tp
        self.position = position
        self._settings = settings
        self._topic_id = topic_id
        self._intent = intent
        self._chunks: list[Chunk] = []  # of the begun flush
        self._assembler = self._collect_from(position)

    def _collect_from(self, position: int) -> PartitionAssembler:
        return PartitionAssembler(
            self._settings, self.tp, position=position, topic_id=self._topic_id
        )

    def add(self, chunk: Chunk, now_ms: int) -> list[Flush]:
        """Take records; return completed flushes in order. RecordError, StorageError: stop here."""
        fresh = _from_offset(chunk, self.position)
        if fresh is None:
            return []
        self.position = fresh.offsets[-1] + 1
        if self._intent is None:
            return self._assembler.add(fresh, now_ms)
        self._chunks.append(fresh)
        return self._finish_begun(now_ms) if self.position > self._intent.end else []

    def reached_end(self, end: int, now_ms: int) -> list[Flush]:
        """All below ``end`` was read: what is missing now will not come (compaction, markers)."""
        if self._intent is not None and end > self._intent.end:
            return self._finish_begun(now_ms)
        return []

    def _finish_begun(self, now_ms: int) -> list[Flush]:
        intent, chunks = self._intent, self._chunks
        assert intent is not None
        flush = rebuild(self.tp, intent, chunks, topic_id=self._topic_id)
        self._intent, self._chunks = None, []
        self._assembler = self._collect_from(intent.end + 1)
        later = _from_offset(chunks[-1], intent.end + 1) if chunks else None
        try:
            return [flush, *(self._assembler.add(later, now_ms) if later else [])]
        except RecordError as error:
            error.flushes.insert(0, flush)
            raise

    def tick(self, now_ms: int) -> list[Flush]:
        """The flush that the clock alone makes due."""
        return self._assembler.tick(now_ms)

    def seal(self) -> list[Flush]:
        """Flush what was collected; nothing while a begun flush is still being read."""
        return self._assembler.seal()

    @property
    def recovering(self) -> bool:
        """A flush begun before us is not read completely yet."""
        return self._intent is not None

    @property
    def due_ms(self) -> int | None:
        """When ``tick`` has something to do; None: never."""
        return self._assembler.due_ms

    @property
    def buffered_bytes(self) -> int:
        """Memory held."""
        return self._assembler.buffered_bytes


def _from_offset(chunk: Chunk, position: int) -> Chunk | None:
    """The part of a chunk at and after ``position``; None if there is nothing left."""
    offsets = chunk.offsets
    if offsets[0] >= position:
        return chunk
    skip = _count_below(offsets, position)
    if skip == len(offsets):
        return None
    return Chunk(offsets[skip:], chunk.values[skip:], chunk.timestamps[skip:])


def _count_below(offsets: Sequence[int], position: int) -> int:
    for index, offset in enumerate(offsets):
        if offset >= position:
            return index
    return len(offsets)
