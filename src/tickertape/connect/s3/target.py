"""Where a connector's objects go: the store's URL and options, from its settings. Pure.

``store.url`` is Confluent's endpoint override (``http://127.0.0.1:9000``), or a folder: with
``store.url=file:///lake`` and ``s3.bucket.name=kafkamytopictest`` the bucket is the folder
``/lake/kafkamytopictest``; without a bucket name it is ``/lake`` itself. A whole ``s3://`` URL, as
``--store-url`` takes it, stands for itself.
"""

from urllib.parse import quote, urlencode

from tickertape.connect.s3.settings import SinkSettings


def target_url(settings: SinkSettings) -> str:
    """The URL for objects.open. The endpoint of S3 is in its query."""
    url, bucket = settings.store_url, settings.bucket or ""
    if url is None:
        return f"s3://{bucket}"
    scheme = url.partition(":")[0]
    if scheme == "file":
        return f"{url.rstrip('/')}/{quote(bucket)}" if bucket else url
    if scheme in {"s3", "memory"}:
        return url
    endpoint = url if "://" in url else f"https://{url}"
    return f"s3://{bucket}?{urlencode({'endpoint': endpoint})}"
