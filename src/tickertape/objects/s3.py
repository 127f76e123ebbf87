"""S3 and whatever speaks its protocol (MinIO, R2, Ceph...), through botocore's low-level client.

Every object is one PutObject with ``If-None-Match: *`` and its SHA-256 as checksum and as metadata.
Retries are ours, not botocore's, because a conditional put that timed out may have succeeded: a 412
after such an attempt is settled by comparing the stored digest. Credentials come from botocore's
whole chain: arguments, environment, ~/.aws with profiles, container and instance roles.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from botocore import exceptions as aws
from botocore.config import Config
from botocore.session import Session

from tickertape.base.ports import Rng
from tickertape.objects.retry import RetryBudget, Sleep
from tickertape.objects.store import (
    PROBE_KEY,
    ObjectInfo,
    ObjectStoreError,
    PutOutcome,
    validate_key,
)

_DIGEST_METADATA = "sha256"
_TAKEN = {"PreconditionFailed", "412"}
_ABSENT = {"NoSuchKey", "404", "NotFound"}
_CONFLICT = {"ConditionalRequestConflict", "OperationAborted"}  # 409: undecided, ask again
_TRANSIENT = {
    "InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "RequestTimeoutException",
    "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded",
    "BandwidthLimitExceeded",
}  # fmt: skip
_CREDENTIALS = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
    "TokenRefreshRequired",
}  # fmt: skip
_FORBIDDEN = (
    "The credentials are known but not allowed to: grant s3:PutObject, s3:GetObject, s3:ListBucket"
)
_ADVICE = {
    "AccessDenied": _FORBIDDEN,
    "AllAccessDisabled": _FORBIDDEN,
    "403": _FORBIDDEN,
    "RequestTimeTooSkewed": "This machine's clock is wrong by more than 15 minutes: set it",
}
_REGION_DEFAULT = "us-west-2"  # Confluent's
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options:
    """How to reach a bucket. ``put_arguments`` go to PutObject as they are (ACL, encryption).

    ``from_file``: the user named the bucket by a connector's properties, not by a URL; advice is
    given in the words that were used.
    """

    region: str | None = None
    endpoint: str | None = None
    profile: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    path_style: bool = True
    proxy_url: str | None = None
    connect_timeout_s: float = 10
    read_timeout_s: float = 30
    retry: RetryBudget = field(default_factory=RetryBudget)
    put_arguments: Mapping[str, str] = field(default_factory=dict)
    from_file: bool = False


class S3Store:
    """One bucket, or the part of it below a prefix. Calls may come from any thread."""

    def __init__(
        self, bucket: str, prefix: str, options: S3Options, *, rng: Rng, sleep: Sleep
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._options = options
        self._rng = rng
        self._sleep = sleep
        self._conditional = True
        self._region = options.region or ""
        self._client = self._connect()

    def _connect(self) -> Any:  # noqa: ANN401  # botocore makes its client classes at run time
        options = self._options
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=options.connect_timeout_s,
            read_timeout=options.read_timeout_s,
            max_pool_connections=16,
            s3={"addressing_style": "path" if options.path_style else "virtual"},
            proxies={"http": options.proxy_url, "https": options.proxy_url}
            if options.proxy_url
            else None,
        )
        try:
            session = Session(profile=options.profile)
            configured = options.region or session.get_config_variable("region")
            if configured or not options.endpoint:  # other stores seldom know regions
                self._region = configured or _REGION_DEFAULT
            return session.create_client(
                "s3",
                region_name=self._region or _REGION_DEFAULT,
                endpoint_url=options.endpoint,
                aws_access_key_id=options.access_key_id,
                aws_secret_access_key=options.secret_access_key,
                config=config,
            )
        except (aws.BotoCoreError, ValueError) as error:
            raise ObjectStoreError(f"{self.url}: {error}", retriable=False) from error

    @property
    def url(self) -> str:
        """``s3://bucket/prefix?endpoint=...&region=...``: what opens the same store anywhere."""
        options = self._options
        query = {
            "endpoint": options.endpoint,
            "region": self._region,
            "profile": options.profile,
            "path_style": None if options.path_style else "false",
        }
        told = urlencode({name: value for name, value in query.items() if value}, safe=":/")
        place = quote(f"{self._bucket}/{self._prefix}".rstrip("/"))
        return f"s3://{place}?{told}" if told else f"s3://{place}"

    def put(
        self,
        key: str,
        data: bytes,
        *,
        create_only: bool = True,
        content_type: str = "application/octet-stream",
    ) -> PutOutcome:
        """One PutObject, tried again within the budget."""
        validate_key(key)
        digest = hashlib.sha256(data)
        request: dict[str, object] = {
            **self._options.put_arguments,
            "Key": self._prefix + key,
            "Body": data,
            "ContentType": content_type,
            "Metadata": {_DIGEST_METADATA: digest.hexdigest()},
            "ChecksumSHA256": base64.b64encode(digest.digest()).decode(),
        }
        if create_only and not self._conditional:
            if self.head(key) is not None:  # check() has warned that this is a race
                return PutOutcome.EXISTS
        elif create_only:
            request["IfNoneMatch"] = "*"
        return self._put(key, request, digest.hexdigest())

    def _put(self, key: str, request: dict[str, object], digest: str) -> PutOutcome:
        maybe_done = False
        last: Exception | None = None
        for _ in self._options.retry.attempts(self._sleep, self._rng):
            try:
                self._client.put_object(Bucket=self._bucket, **request)
            except (aws.ClientError, aws.BotoCoreError) as error:
                if _code(error) in _TAKEN:
                    return self._settle(key, digest) if maybe_done else PutOutcome.EXISTS
                if not _retriable(error):
                    raise self._explained("put", key, error) from error
                maybe_done = maybe_done or _code(error) not in _CONFLICT
                last = error
            else:
                return PutOutcome.CREATED
        assert last is not None
        raise self._explained("put", key, last) from last

    def _settle(self, key: str, digest: str) -> PutOutcome:
        """After a 412 that follows an attempt without an answer: CREATED if that attempt did it."""
        info = self.head(key)
        ours = info is not None and info.sha256 == digest
        return PutOutcome.CREATED if ours else PutOutcome.EXISTS

    def get(self, key: str) -> bytes | None:
        """The whole object."""
        validate_key(key)

        def read() -> bytes:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            return bytes(answer["Body"].read())

        return self._absent_is_none("get", key, read)

    def head(self, key: str) -> ObjectInfo | None:
        """Size, and the digest if the object was put by us."""
        validate_key(key)

        def look() -> ObjectInfo:
            answer = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
            return ObjectInfo(
                key, answer["ContentLength"], answer["Metadata"].get(_DIGEST_METADATA)
            )

        return self._absent_is_none("head", key, look)

    def list(self, prefix: str, start_after: str = "") -> Iterator[ObjectInfo]:
        """ListObjectsV2, page by page."""
        request: dict[str, object] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        if start_after:
            request["StartAfter"] = self._prefix + start_after
        while True:
            page = self._again("list", prefix, lambda: self._client.list_objects_v2(**request))
            for entry in page.get("Contents", ()):
                yield ObjectInfo(entry["Key"].removeprefix(self._prefix), entry["Size"])
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def check(self) -> tuple[str, ...]:
        """HeadBucket, then two conditional puts of one key: the second must be refused."""
        try:
            self._again("head bucket", "", lambda: self._client.head_bucket(Bucket=self._bucket))
        except ObjectStoreError as error:
            # A role may be allowed to put and not to look at the bucket: let the probe decide.
            if _code(error.__cause__) not in {"403", "AccessDenied"}:
                raise
        self._conditional = True
        probe = b"does this store honour If-None-Match?\n"
        try:
            self.put(PROBE_KEY, probe)
            # Other bytes: were they the same, a 412 after a lost answer would pass for our own put.
            if self.put(PROBE_KEY, probe + b"It does not.\n") is PutOutcome.EXISTS:
                return ()
        except ObjectStoreError as error:
            if _code(error.__cause__) not in {"NotImplemented", "501", "InvalidArgument"}:
                raise
        self._conditional = False
        warning = (
            f"{self.url} does not honour If-None-Match: a worker that lost its partitions and does"
            " not know it yet could overwrite objects. We look before every put, which is a race:"
            " exactly-once is NOT guaranteed here. Use a store with conditional writes"
        )
        return (warning,)

    def _absent_is_none(self, what: str, key: str, call: Callable[[], T]) -> T | None:
        try:
            return self._again(what, key, call)
        except ObjectStoreError as error:
            if _code(error.__cause__) in _ABSENT:
                return None
            raise

    def _again(self, what: str, key: str, call: Callable[[], T]) -> T:
        last: Exception | None = None
        for _ in self._options.retry.attempts(self._sleep, self._rng):
            try:
                return call()
            except (aws.ClientError, aws.BotoCoreError) as error:
                if not _retriable(error):
                    raise self._explained(what, key, error) from error
                last = error
        assert last is not None
        raise self._explained(what, key, last) from last

    def _explained(self, what: str, key: str, error: Exception) -> ObjectStoreError:
        where = f"{what} {key}".strip()
        advice = self._advice(error, what)
        told = f"{self.url}: {where}: {_reason(error)}"
        return ObjectStoreError(
            f"{told}. {advice}" if advice else told, retriable=_retriable(error)
        )

    def _advice(self, error: Exception, what: str) -> str:
        """What a person can do, in the words in which the bucket was named."""
        code, from_file = _code(error), self._options.from_file
        if code == "NoSuchBucket" or (code in _ABSENT and what == "head bucket"):
            name = f"s3.bucket.name={self._bucket}" if from_file else f"s3://{self._bucket}"
            return f"The bucket does not exist: create it, or correct {name}"
        if code in {"PermanentRedirect", "301", "AuthorizationHeaderMalformed"}:
            region = _region_of(error) or "its region"
            how = f"set s3.region={region}" if from_file else f"add region={region} to the URL"
            return f"The bucket is not in {self._region or _REGION_DEFAULT}: {how}"
        if code in _CREDENTIALS or isinstance(
            error, aws.NoCredentialsError | aws.PartialCredentialsError
        ):
            own = (
                "aws.access.key.id and aws.secret.access.key in the connector's file, "
                if from_file
                else ""
            )
            return (
                f"Check the credentials: {own}AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
                " or a profile of ~/.aws (AWS_PROFILE)"
            )
        if isinstance(error, aws.EndpointConnectionError | aws.ConnectTimeoutError):
            place = "store.url" if from_file else "endpoint= in the URL"
            where = place if self._options.endpoint else "the network"
            return f"Nothing answers there: check {where} and that the store runs"
        return _ADVICE.get(code, "")


def _reason(error: Exception) -> str:
    """What went wrong, on one line, without botocore's frame around it."""
    text = str(error)
    if isinstance(error, aws.ClientError):
        told = error.response.get("Error", {})
        text = f"{told.get('Code', '')} {told.get('Message', '')}"
    return " ".join(text.split()).rstrip(".")


def _region_of(error: Exception) -> str:
    """Where the bucket is, if S3 says so."""
    if not isinstance(error, aws.ClientError):
        return ""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    found = error.response.get("Error", {}).get("Region")  # of a malformed signature
    return str(headers.get("x-amz-bucket-region") or found or "")


def _code(error: BaseException | None) -> str:
    if isinstance(error, aws.ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def _retriable(error: Exception) -> bool:
    if isinstance(error, aws.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = _code(error)
        known = code in _TRANSIENT or code in _CONFLICT
        return known or (status >= 500 and status != 501) or status == 429
    return isinstance(
        error,
        aws.HTTPClientError
        | aws.ConnectionError
        | aws.IncompleteReadError
        | aws.ResponseStreamingError
        | aws.CredentialRetrievalError
        | aws.FlexibleChecksumError,
    ) and not isinstance(error, aws.SSLError)
