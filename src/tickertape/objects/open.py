"""Turns the URL of a store into the store: ``file:``, ``s3:``, ``memory:`` or a plain path.

``s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=eu-west-1&profile=backup&path_style=false``:
the query overrides the options given.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from tickertape.base.errors import MisuseError
from tickertape.base.ports import Rng
from tickertape.objects.directory import DirectoryStore
from tickertape.objects.memory import MemoryStore
from tickertape.objects.retry import Sleep
from tickertape.objects.store import ObjectStore

if TYPE_CHECKING:
    from tickertape.objects.s3 import S3Options

_QUERY = {"endpoint", "region", "profile", "path_style"}


def open_store(
    url: str, *, rng: Rng, sleep: Sleep, s3_options: "S3Options | None" = None
) -> ObjectStore:
    """The store at ``url``; nothing is contacted or created yet.

    ``rng`` and ``sleep`` (seconds) serve the retries of S3. Raises MisuseError for a URL that names
    no store, ObjectStoreError if S3's client cannot be made (an unknown profile, say).
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return _open_s3(url, rng=rng, sleep=sleep, options=s3_options)
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path:
            raise MisuseError(f"store url {url!r}: want file:///absolute/path")
        return DirectoryStore(Path(unquote(parts.path)))
    if parts.scheme == "memory":
        return MemoryStore()
    if parts.scheme == "" and url:
        return DirectoryStore(Path(url).expanduser())
    raise MisuseError(f"store url {url!r}: want file:///path, s3://bucket[/prefix] or a path")


def _open_s3(url: str, *, rng: Rng, sleep: Sleep, options: "S3Options | None") -> ObjectStore:
    from tickertape.objects.s3 import S3Options, S3Store  # noqa: PLC0415  # botocore is slow to import

    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    unknown = query.keys() - _QUERY
    if not parts.netloc or unknown:
        raise MisuseError(
            f"store url {url!r}: want s3://bucket[/prefix],"
            f" in the query only {', '.join(sorted(_QUERY))}"
        )
    options = options or S3Options()
    options = dataclasses.replace(
        options,
        endpoint=query.get("endpoint", options.endpoint),
        region=query.get("region", options.region),
        profile=query.get("profile", options.profile),
        path_style=query.get("path_style", str(options.path_style)).lower() != "false",
    )
    return S3Store(parts.netloc, unquote(parts.path), options, rng=rng, sleep=sleep)
