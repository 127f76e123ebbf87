"""An independent reader of a bucket: which records are there, judged from the lines alone.

Knows nothing of manifests or intents: every line carries the record's own number.
"""

import gzip
import json
from collections import Counter

from tickertape.objects.store import ObjectStore


def value(partition: int, offset: int) -> bytes:
    """What the tests produce: a value that says which record it is."""
    return json.dumps({"p": partition, "o": offset}).encode()


def stored_records(store: ObjectStore, prefix: str = "topics/") -> Counter[tuple[int, int]]:
    """How often each (partition, offset) is in the bucket."""
    found: Counter[tuple[int, int]] = Counter()
    for info in store.list(prefix):
        data = store.get(info.key)
        assert data is not None
        for line in gzip.decompress(data).decode().splitlines():
            inner = json.loads(json.loads(line))
            found[inner["p"], inner["o"]] += 1
    return found
