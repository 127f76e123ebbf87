"""DescribeClientQuotas (key 48), versions 0 to 1.

Behaviour. The quotas (KIP-546) of the entities that the filter lets through: of each type an exact
name, the default, or any; strict: of those types only. Needs DESCRIBE_CONFIGS on the cluster.

Versions. 1 flexible.

Deviations. There are quotas of users and client ids; none of addresses (type ip).
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.quotas import CLIENT, USER
from tickertape.broker.state.security import Entity
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_client_quotas import (
    ComponentData,
    DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
    EntityData,
    EntryData,
    ValueData,
)

_EXACT: Final = 0
_DEFAULT: Final = 1
_ANY: Final = 2


def describe_client_quotas(broker: Broker, request: Request, call: Call) -> None:
    """List the quotas that the filter means."""
    ask, _ = DescribeClientQuotasRequest.decode(request.frame, request.at, request.version)
    response = DescribeClientQuotasResponse(error_message=None)
    why = _fault(ask.components)
    if not may_cluster(broker, call, Operation.DESCRIBE_CONFIGS):
        response.error_code = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
        response.error_message, response.entries = "Cluster authorization failed.", None
    elif why is not None:
        (response.error_code, response.error_message), response.entries = why, None
    else:
        response.entries = [
            _entry(entity, values)
            for entity, values in broker.security.quotas.items()
            if _matches(ask, entity)
        ]
    answer(call, request.header, response)


def _fault(components: list[ComponentData]) -> tuple[ErrorCode, str] | None:
    kinds = [component.entity_type for component in components]
    for component in components:
        if component.entity_type not in {USER, CLIENT, "ip"}:
            what = f"Custom entity type '{component.entity_type}' not supported"
            return ErrorCode.UNSUPPORTED_VERSION, what
        if component.match_type not in {_EXACT, _DEFAULT, _ANY}:
            return ErrorCode.INVALID_REQUEST, f"Unexpected match type: {component.match_type}"
        if (component.match is None) == (component.match_type == _EXACT):
            return ErrorCode.INVALID_REQUEST, "Request specified a match that its type has not"
    if len(set(kinds)) < len(kinds):
        return ErrorCode.INVALID_REQUEST, f"Duplicate filter component entity type in {kinds}"
    return None


def _matches(ask: DescribeClientQuotasRequest, entity: Entity) -> bool:
    names = dict(entity)
    for wanted in ask.components:
        if wanted.entity_type not in names:
            return False
        name = names[wanted.entity_type]
        if wanted.match_type == _EXACT and name != wanted.match:
            return False
        if wanted.match_type == _DEFAULT and name is not None:
            return False
    return not (ask.strict and len(names) > len(ask.components))


def _entry(entity: Entity, values: dict[str, float]) -> EntryData:
    return EntryData(
        entity=[EntityData(entity_type=kind, entity_name=name) for kind, name in entity],
        values=[ValueData(key=key, value=value) for key, value in values.items()],
    )
