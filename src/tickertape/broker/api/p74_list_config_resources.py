"""ListConfigResources (key 74), versions 0 to 1 (KIP-1142): what has configs that can be described.

Behaviour. Every topic, this broker (as broker and as the owner of loggers, which cannot be
described here), and every group that has configs of its own. Version 0 asks for client metrics
resources (KIP-1000), of which there are none. An unknown type: UNSUPPORTED_VERSION, as in Kafka.

Versions. 1 types, and resources of all of them if none is named.

Deviations. None known.
"""

from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.list_config_resources import (
    ConfigResource,
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)

TOPIC: Final = 2
BROKER: Final = 4
BROKER_LOGGER: Final = 8
CLIENT_METRICS: Final = 16
GROUP: Final = 32
_TYPES: Final = frozenset({TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP})
_FIRST_WITH_TYPES: Final = 1


def list_config_resources(broker: Broker, request: Request, call: Call) -> None:
    """List the resources of the types asked for."""
    ask, _ = ListConfigResourcesRequest.decode(request.frame, request.at, request.version)
    wanted = set(ask.resource_types) or _TYPES
    if request.version < _FIRST_WITH_TYPES:
        wanted = {CLIENT_METRICS}
    response = ListConfigResourcesResponse()
    if not may_cluster(broker, call, Operation.DESCRIBE_CONFIGS):
        response.error_code = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    elif wanted <= _TYPES:
        response.config_resources = [
            ConfigResource(resource_name=name, resource_type=kind)
            for kind, name in _resources(broker)
            if kind in wanted
        ]
    else:
        response.error_code = ErrorCode.UNSUPPORTED_VERSION
    answer(call, request.header, response)


def _resources(broker: Broker) -> list[tuple[int, str]]:
    node_id = str(broker.settings.node_id)
    found = [(TOPIC, topic.name) for topic in broker.topics]
    found += [(BROKER, node_id), (BROKER_LOGGER, node_id)]
    return found + [(GROUP, name) for name in broker.group_configs.names()]
