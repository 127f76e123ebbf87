"""What this broker serves: API key to handler and versions. ApiVersions lists exactly this.

An API that is not here is not advertised, and a request for it closes the connection, as in
Kafka. A handler's module is imported at the first request for it, so that a broker starts at
once; the handler is the function that has the module's name, without its number.
"""

from importlib import import_module
from typing import Final, NamedTuple

from tickertape.broker.api.outcome import Handler
from tickertape.wire.api_keys import ApiKey


class Route(NamedTuple):
    """Which module serves an API, from which version to which."""

    module: str
    first: int
    last: int


HANDLERS: Final[dict[int, Route]] = {
    ApiKey.PRODUCE: Route("tickertape.broker.api.p00_produce", 0, 13),
    ApiKey.FETCH: Route("tickertape.broker.api.p01_fetch", 4, 18),
    ApiKey.LIST_OFFSETS: Route("tickertape.broker.api.p02_list_offsets", 1, 10),
    ApiKey.METADATA: Route("tickertape.broker.api.p03_metadata", 0, 12),
    ApiKey.OFFSET_COMMIT: Route("tickertape.broker.api.p08_offset_commit", 2, 10),
    ApiKey.OFFSET_FETCH: Route("tickertape.broker.api.p09_offset_fetch", 1, 10),
    ApiKey.FIND_COORDINATOR: Route("tickertape.broker.api.p10_find_coordinator", 0, 6),
    ApiKey.JOIN_GROUP: Route("tickertape.broker.api.p11_join_group", 0, 9),
    ApiKey.HEARTBEAT: Route("tickertape.broker.api.p12_heartbeat", 0, 4),
    ApiKey.LEAVE_GROUP: Route("tickertape.broker.api.p13_leave_group", 0, 5),
    ApiKey.SYNC_GROUP: Route("tickertape.broker.api.p14_sync_group", 0, 5),
    ApiKey.DESCRIBE_GROUPS: Route("tickertape.broker.api.p15_describe_groups", 0, 6),
    ApiKey.LIST_GROUPS: Route("tickertape.broker.api.p16_list_groups", 0, 5),
    ApiKey.SASL_HANDSHAKE: Route("tickertape.broker.api.p17_sasl_handshake", 0, 1),
    ApiKey.API_VERSIONS: Route("tickertape.broker.api.p18_api_versions", 0, 4),
    ApiKey.CREATE_TOPICS: Route("tickertape.broker.api.p19_create_topics", 2, 7),
    ApiKey.DELETE_TOPICS: Route("tickertape.broker.api.p20_delete_topics", 1, 6),
    ApiKey.DELETE_RECORDS: Route("tickertape.broker.api.p21_delete_records", 0, 2),
    ApiKey.INIT_PRODUCER_ID: Route("tickertape.broker.api.p22_init_producer_id", 0, 5),
    ApiKey.OFFSET_FOR_LEADER_EPOCH: Route(
        "tickertape.broker.api.p23_offset_for_leader_epoch", 2, 4
    ),
    ApiKey.ADD_PARTITIONS_TO_TXN: Route("tickertape.broker.api.p24_add_partitions_to_txn", 0, 3),
    ApiKey.ADD_OFFSETS_TO_TXN: Route("tickertape.broker.api.p25_add_offsets_to_txn", 0, 4),
    ApiKey.END_TXN: Route("tickertape.broker.api.p26_end_txn", 0, 5),
    ApiKey.WRITE_TXN_MARKERS: Route("tickertape.broker.api.p27_write_txn_markers", 1, 2),
    ApiKey.TXN_OFFSET_COMMIT: Route("tickertape.broker.api.p28_txn_offset_commit", 0, 5),
    ApiKey.DESCRIBE_ACLS: Route("tickertape.broker.api.p29_describe_acls", 1, 3),
    ApiKey.CREATE_ACLS: Route("tickertape.broker.api.p30_create_acls", 1, 3),
    ApiKey.DELETE_ACLS: Route("tickertape.broker.api.p31_delete_acls", 1, 3),
    ApiKey.DESCRIBE_CONFIGS: Route("tickertape.broker.api.p32_describe_configs", 1, 4),
    ApiKey.ALTER_CONFIGS: Route("tickertape.broker.api.p33_alter_configs", 0, 2),
    ApiKey.DESCRIBE_LOG_DIRS: Route("tickertape.broker.api.p35_describe_log_dirs", 1, 4),
    ApiKey.SASL_AUTHENTICATE: Route("tickertape.broker.api.p36_sasl_authenticate", 0, 2),
    ApiKey.CREATE_PARTITIONS: Route("tickertape.broker.api.p37_create_partitions", 0, 3),
    ApiKey.DELETE_GROUPS: Route("tickertape.broker.api.p42_delete_groups", 0, 2),
    ApiKey.ELECT_LEADERS: Route("tickertape.broker.api.p43_elect_leaders", 0, 2),
    ApiKey.INCREMENTAL_ALTER_CONFIGS: Route(
        "tickertape.broker.api.p44_incremental_alter_configs", 0, 1
    ),
    ApiKey.ALTER_PARTITION_REASSIGNMENTS: Route(
        "tickertape.broker.api.p45_alter_partition_reassignments", 0, 1
    ),
    ApiKey.LIST_PARTITION_REASSIGNMENTS: Route(
        "tickertape.broker.api.p46_list_partition_reassignments", 0, 0
    ),
    ApiKey.OFFSET_DELETE: Route("tickertape.broker.api.p47_offset_delete", 0, 0),
    ApiKey.DESCRIBE_CLIENT_QUOTAS: Route("tickertape.broker.api.p48_describe_client_quotas", 0, 1),
    ApiKey.ALTER_CLIENT_QUOTAS: Route("tickertape.broker.api.p49_alter_client_quotas", 0, 1),
    ApiKey.DESCRIBE_USER_SCRAM_CREDENTIALS: Route(
        "tickertape.broker.api.p50_describe_user_scram_credentials", 0, 0
    ),
    ApiKey.ALTER_USER_SCRAM_CREDENTIALS: Route(
        "tickertape.broker.api.p51_alter_user_scram_credentials", 0, 0
    ),
    ApiKey.UPDATE_FEATURES: Route("tickertape.broker.api.p57_update_features", 0, 2),
    ApiKey.DESCRIBE_CLUSTER: Route("tickertape.broker.api.p60_describe_cluster", 0, 2),
    ApiKey.DESCRIBE_PRODUCERS: Route("tickertape.broker.api.p61_describe_producers", 0, 0),
    ApiKey.DESCRIBE_TRANSACTIONS: Route("tickertape.broker.api.p65_describe_transactions", 0, 0),
    ApiKey.LIST_TRANSACTIONS: Route("tickertape.broker.api.p66_list_transactions", 0, 2),
    ApiKey.CONSUMER_GROUP_HEARTBEAT: Route(
        "tickertape.broker.api.p68_consumer_group_heartbeat", 0, 1
    ),
    ApiKey.CONSUMER_GROUP_DESCRIBE: Route(
        "tickertape.broker.api.p69_consumer_group_describe", 0, 1
    ),
    ApiKey.LIST_CONFIG_RESOURCES: Route("tickertape.broker.api.p74_list_config_resources", 0, 1),
    ApiKey.DESCRIBE_TOPIC_PARTITIONS: Route(
        "tickertape.broker.api.p75_describe_topic_partitions", 0, 0
    ),
}

SERVED: Final[dict[ApiKey, tuple[int, int]]] = {
    ApiKey(key): (route.first, route.last) for key, route in HANDLERS.items()
}


def load_handler(key: int) -> Handler:
    """The function that serves ``key``, which is in HANDLERS."""
    module = HANDLERS[key].module
    _, _, function = module.rpartition(".")[2].partition("_")  # p00_produce.produce
    handler: Handler = getattr(import_module(module), function)
    return handler
