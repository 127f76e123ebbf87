"""DescribeUserScramCredentials (key 50), versions 0 to 0.

Behaviour. Mechanism and iterations of each user, of all users if none is named; never salt or keys.
A user without credentials gets RESOURCE_NOT_FOUND, one named twice DUPLICATE_RESOURCE. Needs
DESCRIBE on the cluster.

Versions. Flexible.

Deviations. None known.
"""

from collections import Counter

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_user_scram_credentials import (
    CredentialInfo,
    DescribeUserScramCredentialsRequest,
    DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
)


def describe_user_scram_credentials(broker: Broker, request: Request, call: Call) -> None:
    """List who can log in by SCRAM."""
    ask, _ = DescribeUserScramCredentialsRequest.decode(request.frame, request.at, request.version)
    if not may_cluster(broker, call, Operation.DESCRIBE):
        denied = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
        refusal = DescribeUserScramCredentialsResponse(
            error_code=denied,
            error_message="Cluster authorization failed.",
            results=[DescribeUserScramCredentialsResult(error_code=denied)],  # Kafka's: of nobody
        )
        answer(call, request.header, refusal)
        return
    known: dict[str, list[CredentialInfo]] = {}
    for (name, mechanism), credential in sorted(broker.security.credentials.items()):
        info = CredentialInfo(mechanism=int(mechanism), iterations=credential.iterations)
        known.setdefault(name, []).append(info)
    named = Counter(user.name for user in ask.users or ())
    results = [_described(name, known, times) for name, times in named.items()] or [
        _described(name, known, 1) for name in known
    ]
    answer(call, request.header, DescribeUserScramCredentialsResponse(results=results))


def _described(
    name: str, known: dict[str, list[CredentialInfo]], times: int
) -> DescribeUserScramCredentialsResult:
    result = DescribeUserScramCredentialsResult(user=name, error_message=None)
    if times > 1:
        result.error_code = ErrorCode.DUPLICATE_RESOURCE
        result.error_message = (
            f"Cannot describe SCRAM credentials for the same user twice in a single request: {name}"
        )
    elif name not in known:
        result.error_code = ErrorCode.RESOURCE_NOT_FOUND
        result.error_message = f"Attempt to describe a user credential that does not exist: {name}"
    else:
        result.credential_infos = known[name]
    return result
