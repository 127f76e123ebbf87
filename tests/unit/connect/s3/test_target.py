"""Where the objects of a connector go."""

import pytest

from tickertape.connect.s3.settings import SinkSettings
from tickertape.connect.s3.target import target_url


@pytest.mark.parametrize(
    ("store_url", "bucket", "want"),
    [
        (None, "kafkamytopictest", "s3://kafkamytopictest"),
        ("file:///lake", "kafkamytopictest", "file:///lake/kafkamytopictest"),
        ("file:///lake/", "kafkamytopictest", "file:///lake/kafkamytopictest"),
        ("file:///lake", None, "file:///lake"),
        ("http://127.0.0.1:9000", "b", "s3://b?endpoint=http%3A%2F%2F127.0.0.1%3A9000"),
        ("minio.example:9000", "b", "s3://b?endpoint=https%3A%2F%2Fminio.example%3A9000"),
        ("s3://other/prefix?region=eu-west-1", "b", "s3://other/prefix?region=eu-west-1"),
    ],
)
def test_store_url_is_an_endpoint_or_a_folder(
    store_url: str | None, bucket: str | None, want: str
) -> None:
    settings = SinkSettings(
        name="s3-sink", topics=("t",), flush_size=1, store_url=store_url, bucket=bucket
    )
    assert target_url(settings) == want
