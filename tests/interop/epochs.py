"""Which transactions a client spoke: by those of KIP-890 each end is a new epoch."""

import socket
from typing import Final

from tests.interop.harness import Broker

from tickertape.client.brokers import Brokers
from tickertape.client.transactions import TransactionAdmin

V1_EPOCH: Final = 2
"""After the scenario ``transactions`` of the client programs: two owners, one fence."""
V2_EPOCH: Final = V1_EPOCH + 5
"""The same, and each end of a transaction."""


def epoch_of(target: Broker, transactional_id: str) -> int:
    """The producer epoch, by DescribeTransactions."""
    address = ("127.0.0.1", target.port)
    with Brokers(target.bootstrap, lambda _: socket.create_connection(address)) as brokers:
        return TransactionAdmin(brokers).described(transactional_id).producer_epoch
