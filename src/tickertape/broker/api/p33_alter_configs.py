"""AlterConfigs (key 33), versions 0 to 2.

Behaviour. The topic has exactly the configs given from now on, durably, and its logs obey at once;
what is not named goes back to its default. Each resource succeeds or fails alone. validateOnly
checks and changes nothing.

Versions. 2 flexible.

Deviations. A broker's configs cannot be changed while it runs (INVALID_REQUEST, as Kafka says of
its read-only ones), nor are there broker loggers, groups or client metrics to configure.
"""

from collections.abc import Mapping, Sequence

from tickertape.broker.api.config_changes import Changed, refusals, told
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.alter_configs import (
    AlterableConfig,
    AlterConfigsRequest,
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
)


def alter_configs(broker: Broker, request: Request, call: Call) -> None:
    """Replace each resource's configs."""
    ask, _ = AlterConfigsRequest.decode(request.frame, request.at, request.version)
    outcomes = refusals(broker, call, ask.resources, _replaced, validate_only=ask.validate_only)
    responses = told(AlterConfigsResourceResponse, ask.resources, outcomes)
    answer(call, request.header, AlterConfigsResponse(responses=responses))


def _replaced(before: Mapping[str, str], changes: Sequence[AlterableConfig]) -> Changed:
    for change in changes:
        if change.value is None:
            return ErrorCode.INVALID_REQUEST, f"Null value not supported for : {change.name}"
    return {change.name: change.value for change in changes}
