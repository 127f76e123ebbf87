"""What one client may cost the broker. Full means push back: we stop reading, never grow."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Validated on construction; the defaults are Kafka's where Kafka has the setting."""

    frame_bytes_max: int = 104_857_600  # socket.request.max.bytes
    connections_max: int = 2**31 - 1  # max.connections
    connections_per_ip_max: int = 2**31 - 1  # max.connections.per.ip
    connections_per_ip: Mapping[str, int] = field(default_factory=dict)  # its .overrides
    queued_bytes_max: int = -1  # queued.max.request.bytes, of all connections; below 1: no bound
    idle_ms_max: int = 600_000  # connections.max.idle.ms; no byte in or out for so long
    calls_in_flight_max: int = 256  # per connection, unanswered or unsent
    held_bytes_max: int = 8 * 1024 * 1024  # per connection, answers in memory that are not yet sent
    drain_ms_max: int = 10_000  # how long a graceful stop waits for answers to be read

    def __post_init__(self) -> None:
        """Refuse what no server can run with."""
        assert 0 < self.frame_bytes_max < 2**31
        assert self.connections_max > 0
        assert self.idle_ms_max > 0
        assert self.calls_in_flight_max > 0
        assert self.held_bytes_max > 0
        assert self.drain_ms_max >= 0
