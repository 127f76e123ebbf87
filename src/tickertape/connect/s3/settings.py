"""Everything the sink runs by, as one frozen value built from the user's two properties files."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tickertape.config.keys import Notice
from tickertape.connect.s3.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """One connector. All durations are milliseconds; -1 switches a rotation off.

    ``timezone`` is the one of rotate.schedule.interval.ms. ``consumer`` holds the consumer
    properties, by Kafka's Java names, that the worker file (``consumer.``) and the connector file
    (``consumer.override.``) set; the latter win.
    """

    name: str
    topics: tuple[str, ...]
    flush_size: int
    layout: Layout = field(default_factory=Layout)
    topics_regex: str | None = None
    tasks_max: int = 1
    rotate_interval_ms: int = -1
    rotate_schedule_interval_ms: int = -1
    rotate_on_directory_change: bool = True
    flush_idle_ms: int = 60_000
    timezone: str = "UTC"
    bucket: str | None = None
    region: str | None = "us-west-2"  # None: what AWS's own configuration says
    store_url: str | None = None
    path_style: bool = True
    part_retries: int = 3
    retry_backoff_ms: int = 5_000
    bootstrap_servers: str = "localhost:9092"
    consumer: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold secrets
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)
    notices: tuple[Notice, ...] = field(default=(), repr=False, compare=False)

    @property
    def names_whole_url(self) -> bool:
        """Whether store.url is an ``s3://`` URL, which names bucket and region itself."""
        return (self.store_url or "").startswith("s3:")

    @property
    def group_id(self) -> str:
        """Kafka Connect's consumer group: taking it over continues at the same offsets."""
        return self.consumer.get("group.id", f"connect-{self.name}")

    @property
    def isolation_level(self) -> str:
        """Ours is read_committed (Connect's read_uncommitted): the report says so."""
        return self.consumer.get("isolation.level", "read_committed")

    @property
    def needs_timestamps(self) -> bool:
        """Layout.needs_timestamps: of new flushes. A begun one has a layout of its own."""
        return self.layout.needs_timestamps

    def config_hash(self) -> str:
        """Over what determines bytes and names (``layout``): 16 hex digits."""
        return self.layout.fingerprint()
