"""AlterClientQuotas (key 49), versions 0 to 1.

Behaviour. Sets and removes producer_byte_rate and consumer_byte_rate of users, client ids, both, or
the defaults of these (KIP-546), durably before the answer; they count from the next request on.
Each entity succeeds or fails alone. validateOnly changes nothing. Needs ALTER_CONFIGS on the
cluster.

Versions. 1 flexible.

Deviations. request_percentage and controller_mutation_rate are refused, for they would not be
enforced: one event loop serves everybody and its time is spent by turns, not by threads. So are
quotas of addresses (type ip).
"""

from typing import Final

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.quotas import CLIENT, KEYS, USER
from tickertape.broker.state.security import Entity
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.alter_client_quotas import (
    AlterClientQuotasRequest,
    AlterClientQuotasResponse,
    OpData,
    RequestEntityData,
    RequestEntryData,
    ResponseEntityData,
    ResponseEntryData,
)

_NOT_ENFORCED: Final = frozenset({"request_percentage", "controller_mutation_rate"})
Refusal = tuple[ErrorCode, str]


def alter_client_quotas(broker: Broker, request: Request, call: Call) -> None:
    """Change quotas."""
    ask, _ = AlterClientQuotasRequest.decode(request.frame, request.at, request.version)
    may = may_cluster(broker, call, Operation.ALTER_CONFIGS)
    denied = (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Cluster authorization failed.")
    changed: dict[Entity, dict[str, float]] = {}
    outcomes = [_change(broker, entry, changed) if may else denied for entry in ask.entries]
    if changed and not ask.validate_only:
        try:
            broker.security.change_quotas(changed)
        except StorageError as error:
            failed = (ErrorCode.KAFKA_STORAGE_ERROR, str(error))
            outcomes = [outcome or failed for outcome in outcomes]
    entries = [
        ResponseEntryData(
            error_code=ErrorCode.NONE if outcome is None else outcome[0],
            error_message=None if outcome is None else outcome[1],
            entity=[
                ResponseEntityData(entity_type=part.entity_type, entity_name=part.entity_name)
                for part in entry.entity
            ],
        )
        for entry, outcome in zip(ask.entries, outcomes, strict=True)
    ]
    answer(call, request.header, AlterClientQuotasResponse(entries=entries))


def _change(
    broker: Broker, entry: RequestEntryData, changed: dict[Entity, dict[str, float]]
) -> Refusal | None:
    refusal = _entity_fault(entry.entity) or next(filter(None, map(_fault, entry.ops)), None)
    if refusal is not None:
        return refusal
    entity = tuple(sorted((part.entity_type, part.entity_name) for part in entry.entity))
    values = dict(changed.get(entity) or broker.security.quotas.get(entity, {}))
    for op in entry.ops:
        if op.remove:
            values.pop(op.key, None)
        else:
            values[op.key] = op.value
    changed[entity] = values
    return None


def _entity_fault(entity: list[RequestEntityData]) -> Refusal | None:
    if not entity:
        return ErrorCode.INVALID_REQUEST, "Invalid empty client quota entity"
    kinds = [part.entity_type for part in entity]
    if "ip" in kinds:
        return ErrorCode.INVALID_REQUEST, "this broker has no quotas of addresses"
    for part in entity:
        if part.entity_type not in {USER, CLIENT}:
            return (
                ErrorCode.INVALID_REQUEST,
                f"Unhandled client quota entity type: {part.entity_type}",
            )
        if part.entity_name == "":
            return ErrorCode.INVALID_REQUEST, f"Empty {part.entity_type} not supported"
    if len(set(kinds)) < len(kinds):
        return ErrorCode.INVALID_REQUEST, f"Invalid duplicate entity type in {kinds}"
    return None


def _fault(op: OpData) -> Refusal | None:
    if op.key in _NOT_ENFORCED:
        return ErrorCode.INVALID_REQUEST, f"{op.key} would not be enforced by this broker"
    if op.key not in KEYS:
        return ErrorCode.INVALID_REQUEST, f"Invalid configuration key {op.key}"
    if not op.remove and not (op.value > 0 and op.value.is_integer()):
        return ErrorCode.INVALID_REQUEST, f"Quota {op.key} must be a whole number greater than 0"
    return None
