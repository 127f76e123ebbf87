"""What this broker serves: API key to handler and versions. ApiVersions lists exactly this.

An API that is not here is not advertised, and a request for it closes the connection, as in
Kafka.
"""

from typing import Final, NamedTuple

from tickertape.broker.api import (
    p00_produce,
    p01_fetch,
    p02_list_offsets,
    p03_metadata,
    p08_offset_commit,
    p09_offset_fetch,
    p10_find_coordinator,
    p11_join_group,
    p12_heartbeat,
    p13_leave_group,
    p14_sync_group,
    p15_describe_groups,
    p16_list_groups,
    p18_api_versions,
    p19_create_topics,
    p20_delete_topics,
    p22_init_producer_id,
    p23_offset_for_leader_epoch,
)
from tickertape.broker.api.outcome import Handler, Request
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.api_keys import ApiKey


class Route(NamedTuple):
    """Who serves an API, from which version to which."""

    handler: Handler
    first: int
    last: int


def _api_versions(broker: Broker, request: Request, call: Call) -> None:
    p18_api_versions.api_versions(SERVED, request, call)


HANDLERS: Final[dict[int, Route]] = {
    ApiKey.PRODUCE: Route(p00_produce.produce, 0, 12),
    ApiKey.FETCH: Route(p01_fetch.fetch, 4, 12),
    ApiKey.LIST_OFFSETS: Route(p02_list_offsets.list_offsets, 1, 10),
    ApiKey.METADATA: Route(p03_metadata.metadata, 0, 12),
    ApiKey.OFFSET_COMMIT: Route(p08_offset_commit.offset_commit, 2, 9),
    ApiKey.OFFSET_FETCH: Route(p09_offset_fetch.offset_fetch, 1, 9),
    ApiKey.FIND_COORDINATOR: Route(p10_find_coordinator.find_coordinator, 0, 6),
    ApiKey.JOIN_GROUP: Route(p11_join_group.join_group, 0, 9),
    ApiKey.HEARTBEAT: Route(p12_heartbeat.heartbeat, 0, 4),
    ApiKey.LEAVE_GROUP: Route(p13_leave_group.leave_group, 0, 5),
    ApiKey.SYNC_GROUP: Route(p14_sync_group.sync_group, 0, 5),
    ApiKey.DESCRIBE_GROUPS: Route(p15_describe_groups.describe_groups, 0, 6),
    ApiKey.LIST_GROUPS: Route(p16_list_groups.list_groups, 0, 5),
    ApiKey.API_VERSIONS: Route(_api_versions, *p18_api_versions.VERSIONS),
    ApiKey.CREATE_TOPICS: Route(p19_create_topics.create_topics, 2, 7),
    ApiKey.DELETE_TOPICS: Route(p20_delete_topics.delete_topics, 1, 6),
    ApiKey.INIT_PRODUCER_ID: Route(p22_init_producer_id.init_producer_id, 0, 5),
    ApiKey.OFFSET_FOR_LEADER_EPOCH: Route(
        p23_offset_for_leader_epoch.offset_for_leader_epoch, 2, 4
    ),
}

SERVED: Final[dict[ApiKey, tuple[int, int]]] = {
    ApiKey(key): (route.first, route.last) for key, route in HANDLERS.items()
}
