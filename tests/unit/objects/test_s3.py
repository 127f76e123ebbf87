"""S3's answers, good and bad, over real HTTP: what the store makes of each."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from tickertape.base.fakes import SeededRng
from tickertape.objects.retry import RetryBudget
from tickertape.objects.s3 import S3Options, S3Store
from tickertape.objects.store import PROBE_KEY, ObjectStoreError, PutOutcome, sha256_hex

LOSE_ANSWER = "do it, then cut the connection"
CUT = "cut the connection"
IGNORE_CONDITION = "store without looking at If-None-Match"


def error_body(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>as scripted</Message></Error>".encode()


class ScriptedS3(ThreadingHTTPServer):
    """``script`` holds one entry per PUT: None, a fault above, or (HTTP status, error code)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.script: list[str | tuple[int, str] | None] = []
        self.requests: list[tuple[str, str]] = []
        self.list_page = 1000

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedS3  # type: ignore[mutable-override]  # socketserver sets it once

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        pass

    def _answer(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self) -> None:  # the base class's name
        data = self.rfile.read(int(self.headers["Content-Length"]))
        key = unquote(urlsplit(self.path).path)
        self.server.requests.append(("PUT", key))
        step = self.server.script.pop(0) if self.server.script else None
        if step == CUT:
            self.close_connection = True
            return
        if isinstance(step, tuple):
            self._answer(step[0], error_body(step[1]))
            return
        conditional = self.headers.get("If-None-Match") == "*" and step != IGNORE_CONDITION
        if conditional and key in self.server.objects:
            self._answer(412, error_body("PreconditionFailed"))
            return
        self.server.objects[key] = (data, self.headers.get("x-amz-meta-sha256", ""))
        if step == LOSE_ANSWER:
            self.close_connection = True
            return
        self._answer(200)

    def do_HEAD(self) -> None:  # the base class's name
        key = unquote(urlsplit(self.path).path)
        self.server.requests.append(("HEAD", key))
        if key not in self.server.objects:
            self._answer(404 if key.count("/") > 1 else 200)
            return
        data, digest = self.server.objects[key]
        self._answer(200, data, {"x-amz-meta-sha256": digest} if digest else {})

    def do_GET(self) -> None:  # the base class's name
        query = parse_qs(urlsplit(self.path).query)
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        prefix = query.get("prefix", [""])[0]
        names = sorted(key.split("/", 2)[2] for key in self.server.objects)
        names = [name for name in names if name.startswith(prefix) and name > after]
        page = names[: self.server.list_page]
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>1</Size></Contents>" for name in page
        )
        more = len(page) < len(names)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        self._answer(
            200,
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{contents}{token}"
            "</ListBucketResult>".encode(),
        )


@pytest.fixture
def server() -> Iterator[ScriptedS3]:
    server = ScriptedS3()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def store(server: ScriptedS3, waits: list[float]) -> S3Store:
    options = S3Options(
        endpoint=server.endpoint,
        access_key_id="id",
        secret_access_key="key",
        retry=RetryBudget(attempts_max=4, backoff_ms=100, backoff_ms_max=150),
    )
    return S3Store("lake", "", options, rng=SeededRng(7), sleep=waits.append)


@pytest.mark.parametrize(
    "fault",
    [
        CUT,
        (500, "InternalError"),
        (503, "SlowDown"),
        (429, "TooManyRequests"),
        (409, "ConditionalRequestConflict"),
        (200, "InternalError"),
        (400, "RequestTimeout"),
    ],
    ids=str,
)
def test_a_passing_fault_is_tried_again(
    server: ScriptedS3, store: S3Store, fault: str | tuple[int, str], waits: list[float]
) -> None:
    server.script = [fault, fault]
    assert store.put("a", b"x") is PutOutcome.CREATED
    assert server.requests == [("PUT", "/lake/a")] * 3
    assert 0 < waits[0] <= 0.1
    assert 0 < waits[1] <= 0.15


def test_a_lost_answer_is_recognised_as_ours(server: ScriptedS3, store: S3Store) -> None:
    server.script = [LOSE_ANSWER]
    assert store.put("a", b"x") is PutOutcome.CREATED
    assert server.requests == [("PUT", "/lake/a"), ("PUT", "/lake/a"), ("HEAD", "/lake/a")]


def test_another_writers_object_is_not_taken_for_ours(server: ScriptedS3, store: S3Store) -> None:
    server.objects["/lake/a"] = (b"other", sha256_hex(b"other"))
    server.script = [(503, "SlowDown")]
    assert store.put("a", b"x") is PutOutcome.EXISTS


def test_an_error_in_the_body_of_a_200_is_an_error(server: ScriptedS3, store: S3Store) -> None:
    server.script = [(200, "PreconditionFailed")]
    assert store.put("a", b"x") is PutOutcome.EXISTS


def test_the_budget_ends(server: ScriptedS3, store: S3Store) -> None:
    server.script = [(503, "SlowDown")] * 5
    with pytest.raises(ObjectStoreError, match="SlowDown") as caught:
        store.put("a", b"x")
    assert caught.value.retriable
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ((404, "NoSuchBucket"), "create it, or correct s3://lake$"),
        ((403, "InvalidAccessKeyId"), "Check the credentials"),
        ((403, "SignatureDoesNotMatch"), "Check the credentials"),
        ((400, "ExpiredToken"), "Check the credentials"),
        ((403, "AccessDenied"), "grant s3:PutObject"),
        ((403, "RequestTimeTooSkewed"), "clock is wrong"),
    ],
    ids=str,
)
def test_a_lasting_fault_says_what_to_do(
    server: ScriptedS3, store: S3Store, fault: tuple[int, str], advice: str
) -> None:
    server.script = [fault]
    with pytest.raises(ObjectStoreError, match=advice) as caught:
        store.put("a", b"x")
    assert not caught.value.retriable
    assert len(server.requests) == 1


def test_nobody_answers(server: ScriptedS3, store: S3Store) -> None:
    nowhere = S3Store(
        "lake",
        "",
        S3Options(endpoint="http://127.0.0.1:1", access_key_id="id", secret_access_key="key"),
        rng=SeededRng(),
        sleep=lambda _: None,
    )
    with pytest.raises(ObjectStoreError, match=r"check endpoint= in the URL") as caught:
        nowhere.check()
    assert caught.value.retriable


def from_file(server: ScriptedS3) -> S3Store:
    options = S3Options(
        endpoint=server.endpoint, access_key_id="id", secret_access_key="key", from_file=True
    )
    return S3Store("lake", "", options, rng=SeededRng(), sleep=lambda _: None)


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ((404, "NoSuchBucket"), r"correct s3\.bucket\.name=lake$"),
        ((403, "InvalidAccessKeyId"), r"aws\.access\.key\.id and .* in the connector's file"),
        ((301, "PermanentRedirect"), r"not in us-west-2: set s3\.region=its region$"),
    ],
    ids=str,
)
def test_who_wrote_a_file_is_told_its_properties(
    server: ScriptedS3, fault: tuple[int, str], advice: str
) -> None:
    server.script = [fault]
    with pytest.raises(ObjectStoreError, match=advice):
        from_file(server).put("a", b"x")


@pytest.mark.parametrize("code", ["NoSuchBucket", "InvalidAccessKeyId", "PermanentRedirect"])
def test_who_wrote_a_url_is_told_of_no_property_and_of_no_botocore(
    server: ScriptedS3, store: S3Store, code: str
) -> None:
    server.script = [(400, code)]
    with pytest.raises(ObjectStoreError) as caught:
        store.put("a", b"x")
    told = str(caught.value)
    assert told.startswith(f"s3://lake?endpoint={server.endpoint}: put a: {code} as scripted. ")
    assert not re.search(r"s3\.(bucket|region)|connector's|An error|retries|\.\.", told)


def test_no_credentials_anywhere(server: ScriptedS3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    options = S3Options(endpoint=server.endpoint)
    store = S3Store("lake", "", options, rng=SeededRng(), sleep=lambda _: None)
    with pytest.raises(ObjectStoreError, match="Check the credentials"):
        store.put("a", b"x")


def test_a_profile_of_the_aws_folder_is_used(
    server: ScriptedS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[backup]\naws_access_key_id = ID\naws_secret_access_key = KEY\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    options = S3Options(endpoint=server.endpoint, profile="backup")
    store = S3Store("lake", "", options, rng=SeededRng(), sleep=lambda _: None)
    assert store.put("a", b"x") is PutOutcome.CREATED
    missing = S3Options(endpoint=server.endpoint, profile="nobody")
    with pytest.raises(ObjectStoreError, match="nobody"):
        S3Store("lake", "", missing, rng=SeededRng(), sleep=lambda _: None)


def test_check_sees_that_conditions_are_ignored(server: ScriptedS3, store: S3Store) -> None:
    server.script = [IGNORE_CONDITION, IGNORE_CONDITION]
    (warning,) = store.check()
    assert "NOT guaranteed" in warning
    server.objects["/lake/a"] = (b"first", "")
    server.script = [IGNORE_CONDITION]
    assert store.put("a", b"x") is PutOutcome.EXISTS  # by looking first
    assert server.objects["/lake/a"] == (b"first", "")


def test_check_sees_that_conditions_are_refused(server: ScriptedS3, store: S3Store) -> None:
    server.script = [(501, "NotImplemented")]
    (warning,) = store.check()
    assert "NOT guaranteed" in warning
    assert store.put("a", b"x") is PutOutcome.CREATED


def test_check_of_a_good_store_is_silent(server: ScriptedS3, store: S3Store) -> None:
    assert store.check() == ()
    assert list(server.objects) == [f"/lake/{PROBE_KEY}"]


@pytest.mark.parametrize("fault", [LOSE_ANSWER, CUT, (503, "SlowDown")])
def test_a_passing_fault_of_the_probe_does_not_end_the_fencing(
    server: ScriptedS3, store: S3Store, fault: str | tuple[int, str]
) -> None:
    for script in ([fault], [None, fault]):
        server.objects.clear()
        server.script = list(script)
        assert store.check() == ()


def test_a_list_of_many_pages_has_no_hole(server: ScriptedS3, store: S3Store) -> None:
    server.list_page = 10
    want = [f"m/{number:03d}" for number in range(35)]
    server.objects = {f"/lake/{key}": (b"x", "") for key in ["a", *want, "z"]}
    assert [info.key for info in store.list("m/")] == want
    assert [info.key for info in store.list("m/", want[4])] == want[5:]
