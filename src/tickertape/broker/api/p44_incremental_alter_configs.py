"""IncrementalAlterConfigs (key 44), versions 0 to 1.

Behaviour. SET and DELETE one config; APPEND to and SUBTRACT from one that is a list, starting from
the topic's own value or else from what it inherits (KIP-339). Durable before the answer, and the
topic's logs obey at once. Each resource succeeds or fails alone. validateOnly checks and changes
nothing.

Versions. 1 flexible.

Deviations. Those of AlterConfigs.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from tickertape.broker.api.config_changes import Changed, refusals, told
from tickertape.broker.api.new_topics import Refusal
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.topic_catalog import TOPIC_CATALOG
from tickertape.broker.state import topic_configs
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)

_SET: Final = 0
_DELETE: Final = 1
_APPEND: Final = 2
_SUBTRACT: Final = 3
_NAMES: Final = {_APPEND: "APPEND", _SUBTRACT: "SUBTRACT"}


def incremental_alter_configs(broker: Broker, request: Request, call: Call) -> None:
    """Change each resource's configs."""
    ask, _ = IncrementalAlterConfigsRequest.decode(request.frame, request.at, request.version)
    inherited = topic_configs.described(broker.settings.log)

    def changed(before: Mapping[str, str], changes: Sequence[AlterableConfig]) -> Changed:
        configs: dict[str, str | None] = dict(before)
        for change in changes:
            refusal = _apply(configs, change, inherited)
            if refusal is not None:
                return refusal
        return configs

    outcomes = refusals(broker, call, ask.resources, changed, validate_only=ask.validate_only)
    responses = told(AlterConfigsResourceResponse, ask.resources, outcomes)
    answer(call, request.header, IncrementalAlterConfigsResponse(responses=responses))


def _apply(
    configs: dict[str, str | None], change: AlterableConfig, inherited: dict[str, str]
) -> Refusal | None:
    name, value, operation = change.name, change.value, change.config_operation
    if operation == _DELETE:
        configs.pop(name, None)
        return None
    if value is None:
        return ErrorCode.INVALID_REQUEST, f"Null value not supported for : {name}"
    if operation == _SET:
        configs[name] = value
        return None
    if operation not in _NAMES:
        return ErrorCode.INVALID_REQUEST, f"{name}: operation {operation}; want 0 to 3"
    known = TOPIC_CATALOG.get(name)
    if known is None or known.kind != "list":
        word = _NAMES[operation]
        return ErrorCode.INVALID_CONFIG, f"Can't {word} to key {name} because its type is not LIST."
    before = _items(configs.get(name) or inherited.get(name) or "")
    given = _items(value)
    if operation == _APPEND:
        after = [*before, *(item for item in given if item not in before)]
    else:
        after = [item for item in before if item not in given]
    configs[name] = ",".join(after)
    return None


def _items(text: str) -> list[str]:
    return [item for part in text.split(",") if (item := part.strip())]
