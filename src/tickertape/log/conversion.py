"""``compression.type``: a batch that came in another codec than its topic's is packed anew.

Records, offsets, timestamps, producer and transaction stay as they are; length, attributes and CRC
change. It is done inline, before the append, because what is appended in one turn of the loop must
be verified in the same: a batch of 1 MB takes 2 to 60 ms, by codec and level, and nothing else is
served meanwhile. A batch that unpacks to more than 16 MB is therefore kept in the codec it came in.
(Kafka: LogValidator with a target compression.)
"""

from typing import Final

from tickertape.base.crc import crc32c
from tickertape.log.config import LogConfig
from tickertape.wire import compression
from tickertape.wire.batch import (
    BATCH_HEADER,
    BATCH_OVERHEAD,
    COMPRESSION_MASK,
    CRC_COVERS_FROM,
    LOG_OVERHEAD,
)
from tickertape.wire.primitives import DecodeError

CODECS: Final = {
    "uncompressed": compression.NONE,
    "gzip": compression.GZIP,
    "snappy": compression.SNAPPY,
    "lz4": compression.LZ4,
    "zstd": compression.ZSTD,
}
_UNPACKED_BYTES_MAX: Final = 16 << 20


def converted(batch: memoryview, config: LogConfig) -> memoryview:
    """The batch in its topic's codec; itself if it is in that, or unpacks to too much or not."""
    wanted = CODECS.get(config.compression_type)
    header = list(BATCH_HEADER.unpack_from(batch))
    codec = header[5] & COMPRESSION_MASK
    if wanted is None or wanted == codec:
        return batch
    try:
        content = compression.decompress(
            codec, batch[BATCH_OVERHEAD:], bytes_max=_UNPACKED_BYTES_MAX
        )
    except DecodeError:
        return batch
    level = {
        compression.GZIP: config.compression_gzip_level,
        compression.ZSTD: config.compression_zstd_level,
    }.get(wanted)
    body = compression.compress(wanted, content, level)
    header[1] = BATCH_OVERHEAD - LOG_OVERHEAD + len(body)
    header[5] = header[5] & ~COMPRESSION_MASK | wanted
    head = BATCH_HEADER.pack(*header)
    header[4] = crc32c(body, crc32c(head[CRC_COVERS_FROM:]))
    return memoryview(BATCH_HEADER.pack(*header) + body)
