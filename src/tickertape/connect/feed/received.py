"""The rows that a bucket holds, read back line by line, with no regard to offsets or manifests.

On purpose it shares nothing with the sink or the verifier: plain gzip, plain lines. A line is the
row's JSON itself, or a JSON string literal of it (StringConverter).
"""

import gzip
import zlib
from collections.abc import Callable

import orjson

from tickertape.objects.store import ObjectStore


def receive(store: ObjectStore, topic: str, topics_dir: str, take: Callable[[bytes], None]) -> int:
    """Hand every line of every object of the topic to ``take``; how many objects were unreadable.

    Of a damaged object nothing is taken: its rows count as not received.
    """
    unreadable = 0
    for info in store.list(f"{topics_dir}/{topic}/"):
        content = store.get(info.key) or b""
        try:
            lines = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).split(
                b"\n"
            )
            values = [orjson.loads(line).encode() if line[:1] == b'"' else line for line in lines]
        except (OSError, EOFError, zlib.error, ValueError):
            unreadable += 1
            continue
        for value in values:
            if value:
                take(value)
    return unreadable
