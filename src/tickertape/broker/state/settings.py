"""Everything the broker core can be told, in one frozen value; Kafka's names with _ for the dots.

Times are ms unless the name says otherwise, sizes bytes. Kafka's own defaults, but for these, which
suit an embedded broker: group_initial_rebalance_delay_ms is 0 (Kafka: 3000), fsync is "always", and
16 threads open and close logs (Kafka: 2), as each of them waits for the disk several times.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tickertape.log.config import LogConfig

FsyncMode: TypeAlias = Literal["always", "interval", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """See the module."""

    node_id: int = 1
    advertised_host: str = "localhost"
    advertised_port: int = 9092
    advertised_listeners: str = ""  # all of them, as the property is written; "": the one above
    rack: str | None = None
    fsync: FsyncMode = "always"
    log: LogConfig = field(default_factory=LogConfig)
    num_partitions: int = 1
    num_recovery_threads_per_data_dir: int = 16
    auto_create_topics_enable: bool = True
    partitions_max: int = 10_000  # of one topic: a typo must not fill the disk with folders
    log_retention_check_interval_ms: int = 300_000
    fetch_max_bytes: int = 57_671_680
    fetch_waits_max: int = 10_000
    produce_waits_max: int = 100_000
    group_initial_rebalance_delay_ms: int = 0
    group_min_session_timeout_ms: int = 6_000
    group_max_session_timeout_ms: int = 1_800_000
    group_max_size: int = 2**31 - 1
    group_consumer_session_timeout_ms: int = 45_000
    group_consumer_min_session_timeout_ms: int = 45_000
    group_consumer_max_session_timeout_ms: int = 60_000
    group_consumer_heartbeat_interval_ms: int = 5_000
    group_consumer_min_heartbeat_interval_ms: int = 5_000
    group_consumer_max_heartbeat_interval_ms: int = 15_000
    group_consumer_max_size: int = 2**31 - 1
    group_consumer_assignors: tuple[str, ...] = ("uniform", "range")
    offsets_topic_num_partitions: int = 50
    offsets_topic_segment_bytes: int = 104_857_600
    offsets_retention_minutes: int = 10_080
    offsets_retention_check_interval_ms: int = 600_000
    offset_metadata_max_bytes: int = 4_096
    offsets_commit_timeout_ms: int = 5_000
    transaction_max_timeout_ms: int = 900_000
    transactional_id_expiration_ms: int = 604_800_000
    transactional_id_check_interval_ms: int = 3_600_000
    transaction_state_log_num_partitions: int = 50
    transaction_state_log_segment_bytes: int = 104_857_600
    delete_topic_enable: bool = True
    log_cleaner_enable: bool = True
    log_cleaner_backoff_ms: int = 15_000
    log_cleaner_min_cleanable_ratio: float = 0.5
    authorizer_class_name: str = ""  # "": no access control; else StandardAuthorizer's rules
    super_users: tuple[str, ...] = ()  # "User:name"
    allow_everyone_if_no_acl_found: bool = False
    given: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  # server.properties, for who asks

    def __post_init__(self) -> None:
        """Reject what no broker can run with; the config package has already told the user."""
        assert self.num_partitions > 0
        assert self.offsets_topic_num_partitions > 0
        assert 0 < self.group_min_session_timeout_ms <= self.group_max_session_timeout_ms
        assert self.transaction_state_log_num_partitions > 0
        assert self.fetch_waits_max > 0
        assert self.produce_waits_max > 0
