"""Who may log in, who may do what, and how much: kept in one small file, changed as a whole.

``security.json`` in the data folder (docs/formats.md) holds the SCRAM credentials, the ACLs and the
client quotas. Every change is written and synced before it counts; the old file or the new one
survives a crash, never a mixture. The file holds no password.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any, Final

from tickertape.base.errors import StorageError
from tickertape.base.ports import FileSystem, Rng
from tickertape.broker.state.acl import Acl, Operation, Pattern, Permission, Resource
from tickertape.broker.state.authorizer import Authorizer
from tickertape.broker.state.scram import (
    MECHANISMS,
    USUAL_LOOKS,
    Credential,
    Look,
    Mechanism,
    look_of,
    nobodys_credential,
)

FILE_NAME: Final = "security.json"
_VERSION: Final = 1
_SECRET_BYTES: Final = 32

CredentialKey = tuple[str, Mechanism]
Entity = tuple[tuple[str, str | None], ...]
"""Whom a quota is for: sorted (type, name) pairs; name None: the default of the type."""


class Security:
    """See the module. ``load`` comes first."""

    def __init__(self, fs: FileSystem, data_dir: str, rng: Rng) -> None:
        self.credentials: dict[CredentialKey, Credential] = {}
        self.acls: dict[Acl, None] = {}
        self.quotas: dict[Entity, dict[str, float]] = {}
        self._fs = fs
        self._path = f"{data_dir}/{FILE_NAME}"
        self._rng = rng
        self._looks: dict[Mechanism, Sequence[Look]] = {}  # of the credentials, each once
        self._secret = b""  # makes up salts for users that there are not
        self._authorizer: Authorizer | None = None

    def load(self) -> None:
        """Read the file, if there is one. StorageError if it cannot be understood."""
        data = self._fs.read(self._path)
        if data is None:
            return
        try:
            document = json.loads(data)
            if document["version"] != _VERSION:
                raise StorageError(f"{self._path}: version {document['version']}, want {_VERSION}")
            self._secret = _bytes(document["secret"])
            self._know(dict(map(_read_credential, document["scram"])))
            self.acls = dict.fromkeys(map(_read_acl, document["acls"]))
            self.quotas = dict(map(_read_quota, document["quotas"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(f"{self._path} is damaged: {type(error).__name__}") from error
        self._obey()

    def enforce(self, authorizer: Authorizer) -> None:
        """Let it know the ACLs, now and after every change."""
        self._authorizer = authorizer
        self._obey()

    def credential(self, mechanism: Mechanism, name: str) -> Credential:
        """A user's, or one that nobody can tell from a user's and that no password fits."""
        looks = self._looks.get(mechanism, USUAL_LOOKS)
        alike = nobodys_credential(mechanism, name, self._own_secret(), looks)
        return self.credentials.get((name, mechanism), alike)

    def change_credentials(
        self, upserts: Mapping[CredentialKey, Credential], deletions: Iterable[CredentialKey]
    ) -> None:
        """Durably. StorageError: nothing has changed."""
        gone = set(deletions)
        kept = {key: value for key, value in self.credentials.items() if key not in gone}
        kept.update(upserts)
        self._write(kept, self.acls, self.quotas)
        self._know(kept)

    def change_acls(self, added: Iterable[Acl], deleted: Iterable[Acl]) -> None:
        """Durably. StorageError: nothing has changed."""
        gone = set(deleted)
        kept = {acl: None for acl in self.acls if acl not in gone} | dict.fromkeys(added)
        if kept == self.acls:
            return
        self._write(self.credentials, kept, self.quotas)
        self.acls = kept
        self._obey()

    def change_quotas(self, changed: Mapping[Entity, Mapping[str, float]]) -> None:
        """Durably; an entity without any value has no quota. StorageError: nothing has changed."""
        kept = self.quotas | {entity: dict(values) for entity, values in changed.items()}
        kept = {entity: values for entity, values in kept.items() if values}
        self._write(self.credentials, self.acls, kept)
        self.quotas = kept

    def _know(self, credentials: dict[CredentialKey, Credential]) -> None:
        self.credentials = credentials
        looks: dict[Mechanism, set[Look]] = {}
        for (_, mechanism), credential in credentials.items():
            looks.setdefault(mechanism, set()).add(look_of(credential))
        self._looks = {mechanism: sorted(found) for mechanism, found in looks.items()}

    def _own_secret(self) -> bytes:
        if not self._secret:
            self._secret = self._rng.token(_SECRET_BYTES)
        return self._secret

    def _obey(self) -> None:
        if self._authorizer is not None:
            self._authorizer.replace(self.acls)

    def _write(
        self,
        credentials: Mapping[CredentialKey, Credential],
        acls: Iterable[Acl],
        quotas: Mapping[Entity, Mapping[str, float]],
    ) -> None:
        document = {
            "version": _VERSION,
            "secret": _text(self._own_secret()),
            "scram": [_written_credential(*each) for each in sorted(credentials.items())],
            "acls": [_written_acl(acl) for acl in acls],
            "quotas": [
                {"entity": [list(pair) for pair in entity], "values": dict(values)}
                for entity, values in quotas.items()
            ],
        }
        data = (json.dumps(document, indent=1) + "\n").encode()
        self._fs.write_atomic(self._path, data, private=True)


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


def _written_credential(key: CredentialKey, credential: Credential) -> dict[str, Any]:
    name, mechanism = key
    return {
        "user": name,
        "mechanism": mechanism.sasl_name,
        "salt": _text(credential.salt),
        "stored_key": _text(credential.stored_key),
        "server_key": _text(credential.server_key),
        "iterations": credential.iterations,
    }


def _read_credential(given: dict[str, Any]) -> tuple[CredentialKey, Credential]:
    credential = Credential(
        _bytes(given["salt"]),
        _bytes(given["stored_key"]),
        _bytes(given["server_key"]),
        int(given["iterations"]),
    )
    return (given["user"], MECHANISMS[given["mechanism"]]), credential


def _written_acl(acl: Acl) -> dict[str, str]:
    return {
        "resource": acl.resource.name,
        "name": acl.name,
        "pattern": acl.pattern.name,
        "principal": acl.principal,
        "host": acl.host,
        "operation": acl.operation.name,
        "permission": acl.permission.name,
    }


def _read_acl(given: dict[str, str]) -> Acl:
    return Acl(
        Resource[given["resource"]],
        given["name"],
        Pattern[given["pattern"]],
        given["principal"],
        given["host"],
        Operation[given["operation"]],
        Permission[given["permission"]],
    )


def _read_quota(given: dict[str, Any]) -> tuple[Entity, dict[str, float]]:
    entity = tuple((kind, name) for kind, name in given["entity"])
    values = {name: float(value) for name, value in given["values"].items()}
    if not all(0 < value < inf for value in values.values()):
        raise ValueError("a rate that nobody can be held to")
    return entity, values
