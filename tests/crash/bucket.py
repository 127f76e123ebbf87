"""An independent reader of a bucket: which records are there, judged from the lines alone.

Knows nothing of manifests or intents: every line carries the record's own number.
"""

import gzip
import json
from collections import Counter

from tickertape.objects.memory import MemoryStore


def value(partition: int, offset: int) -> bytes:
    """What the tests produce: a value that says which record it is."""
    return json.dumps({"p": partition, "o": offset}).encode()


def stored_records(store: MemoryStore, prefix: str = "topics/") -> Counter[tuple[int, int]]:
    """How often each (partition, offset) is in the bucket."""
    found: Counter[tuple[int, int]] = Counter()
    for key, data in store.objects.items():
        if key.startswith(prefix):
            for line in gzip.decompress(data).decode().splitlines():
                inner = json.loads(json.loads(line))
                found[inner["p"], inner["o"]] += 1
    return found
