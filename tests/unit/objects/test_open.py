"""Which URL gives which store."""

from pathlib import Path

import pytest

from tickertape.base.errors import MisuseError
from tickertape.base.fakes import SeededRng
from tickertape.objects.open import open_store
from tickertape.objects.store import ObjectStore


def opened(url: str) -> ObjectStore:
    return open_store(url, rng=SeededRng(), sleep=lambda _: None)


def test_file_urls_and_paths_are_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/quant")
    assert opened("file:///data/my%20lake").url == "file:///data/my%20lake"
    assert opened("/data/lake").url == "file:///data/lake"
    assert opened("lake").url == (tmp_path / "lake").as_uri()
    assert opened("~/lake").url == "file:///home/quant/lake"


def test_s3_urls_carry_prefix_endpoint_and_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert opened("s3://bucket").url == "s3://bucket?region=us-west-2"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert opened("s3://bucket/a/b/").url == "s3://bucket/a/b?region=eu-west-1"
    elsewhere = "s3://bucket/a?endpoint=http://127.0.0.1:9000&region=eu-west-2"
    assert opened(elsewhere).url == elsewhere


def test_the_url_of_a_store_opens_the_same_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    for url in [
        "s3://bucket/a?endpoint=http://127.0.0.1:9000",
        "s3://bucket/my%20lake?region=eu-west-1&path_style=false",
        "file:///data/my%20lake",
        "memory:",
    ]:
        assert opened(opened(url).url).url == url


@pytest.mark.parametrize(
    "url", ["", "http://127.0.0.1/x", "s3://", "s3://b?colour=red", "file://host/x", "ftp://x"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(MisuseError, match="store url"):
        opened(url)
