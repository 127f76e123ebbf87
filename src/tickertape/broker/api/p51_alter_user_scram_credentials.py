"""AlterUserScramCredentials (key 51), versions 0 to 0.

Behaviour. Sets and deletes credentials (KIP-554), durably before the answer. The client sends the
salted password, never the password; what is kept is derived from it. Each user succeeds or fails
alone, with all of its credentials. Needs ALTER on the cluster.

Versions. Flexible.

Deviations. None known.
"""

from collections import Counter
from typing import Final

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.scram import (
    ITERATIONS_MAX,
    ITERATIONS_MIN,
    Mechanism,
    credential_of,
)
from tickertape.broker.state.security import CredentialKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.alter_user_scram_credentials import (
    AlterUserScramCredentialsRequest,
    AlterUserScramCredentialsResponse,
    AlterUserScramCredentialsResult,
    ScramCredentialDeletion,
    ScramCredentialUpsertion,
)

_MECHANISMS: Final = {int(mechanism): mechanism for mechanism in Mechanism}
Change = ScramCredentialDeletion | ScramCredentialUpsertion
Refusal = tuple[ErrorCode, str | None]


def alter_user_scram_credentials(broker: Broker, request: Request, call: Call) -> None:
    """Change who can log in by SCRAM."""
    ask, _ = AlterUserScramCredentialsRequest.decode(request.frame, request.at, request.version)
    users = dict.fromkeys(each.name for each in _changes(ask))
    if not may_cluster(broker, call, Operation.ALTER):
        denied = (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Cluster authorization failed.")
        _answer(call, request, dict.fromkeys(users, denied))
        return
    refused = _refused(broker, ask)
    deletions = [
        (each.name, _MECHANISMS[each.mechanism])
        for each in ask.deletions
        if each.name not in refused
    ]
    upserts = {
        (each.name, _MECHANISMS[each.mechanism]): credential_of(
            _MECHANISMS[each.mechanism], each.salted_password, each.salt, each.iterations
        )
        for each in ask.upsertions
        if each.name not in refused
    }
    outcomes = {name: refused.get(name, (ErrorCode.NONE, None)) for name in users}
    if deletions or upserts:
        try:
            broker.security.change_credentials(upserts, deletions)
        except StorageError as error:
            failed = (ErrorCode.KAFKA_STORAGE_ERROR, str(error))
            outcomes = {name: refused.get(name, failed) for name in users}
    _answer(call, request, outcomes)


def _refused(broker: Broker, ask: AlterUserScramCredentialsRequest) -> dict[str, Refusal]:
    """The users whose credentials cannot be changed, with Kafka's reasons; the first one counts."""
    found: dict[str, Refusal] = {}
    changes = _changes(ask)
    named = Counter((each.name, each.mechanism) for each in changes)
    for each in changes:
        refusal = _fault(each.name, each.mechanism)
        if refusal is None and named[each.name, each.mechanism] > 1:
            twice = "A user credential cannot be altered twice in the same request"
            refusal = ErrorCode.DUPLICATE_RESOURCE, twice
        if refusal is None and isinstance(each, ScramCredentialUpsertion):
            refusal = _unacceptable(each)
        elif refusal is None:
            refusal = _absent(broker, (each.name, _MECHANISMS[each.mechanism]))
        if refusal is not None:
            found.setdefault(each.name, refusal)
    return found


def _changes(ask: AlterUserScramCredentialsRequest) -> list[Change]:
    return [*ask.deletions, *ask.upsertions]


def _fault(name: str, mechanism: int) -> Refusal | None:
    if not name:
        return ErrorCode.UNACCEPTABLE_CREDENTIAL, "Username must not be empty"
    if mechanism not in _MECHANISMS:
        return ErrorCode.UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism"
    return None


def _unacceptable(each: ScramCredentialUpsertion) -> Refusal | None:
    if each.iterations < ITERATIONS_MIN:
        return ErrorCode.UNACCEPTABLE_CREDENTIAL, "Too few iterations"
    if each.iterations > ITERATIONS_MAX:
        return ErrorCode.UNACCEPTABLE_CREDENTIAL, "Too many iterations"
    if not each.salt or not each.salted_password:
        return ErrorCode.UNACCEPTABLE_CREDENTIAL, "Salt and salted password must not be empty"
    return None


def _absent(broker: Broker, key: CredentialKey) -> Refusal | None:
    if key in broker.security.credentials:
        return None
    what = "Attempt to delete a user credential that does not exist"
    return ErrorCode.RESOURCE_NOT_FOUND, what


def _answer(call: Call, request: Request, outcomes: dict[str, Refusal]) -> None:
    results = [
        AlterUserScramCredentialsResult(user=name, error_code=error, error_message=message)
        for name, (error, message) in outcomes.items()
    ]
    answer(call, request.header, AlterUserScramCredentialsResponse(results=results))
