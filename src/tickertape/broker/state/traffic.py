"""What went in and out: sums over the counters that partitions keep."""

from dataclasses import dataclass

from tickertape.broker.state.waits import Partition


@dataclass(slots=True)
class Traffic:
    """Since the start of the broker: producers' records and bytes, and bytes to consumers."""

    records_in: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def add(self, more: "Traffic | Partition") -> None:
        """Count these in."""
        self.records_in += more.records_in
        self.bytes_in += more.bytes_in
        self.bytes_out += more.bytes_out
