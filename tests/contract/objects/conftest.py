"""The three stores, each empty, behind one fixture."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tickertape.base.fakes import SeededRng
from tickertape.objects.directory import DirectoryStore
from tickertape.objects.memory import MemoryStore
from tickertape.objects.s3 import S3Options, S3Store
from tickertape.objects.store import ObjectStore


def connect(endpoint: str, bucket: str = "lake", prefix: str = "", **options: object) -> S3Store:
    settings = {"region": "eu-west-1", "access_key_id": "id", "secret_access_key": "key"} | options
    return S3Store(
        bucket,
        prefix,
        S3Options(endpoint=endpoint, **settings),  # type: ignore[arg-type]  # one value per name
        rng=SeededRng(),
        sleep=lambda _: None,
    )


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def make_bucket(endpoint: str, bucket: str) -> None:
    store = connect(endpoint, bucket)
    store._client.create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )


@pytest.fixture(params=["memory", "directory", "s3", "s3 below a prefix"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    match request.param:
        case "memory":
            return MemoryStore()
        case "directory":
            return DirectoryStore(tmp_path / "lake")
        case _:
            endpoint = request.getfixturevalue("s3_endpoint")
            bucket = f"bucket-{abs(hash(tmp_path)):x}"
            make_bucket(endpoint, bucket)
            return connect(endpoint, bucket, "backup/eu" if "prefix" in request.param else "")
