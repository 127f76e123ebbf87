"""Who is at the other end of a connection, and by which door they came in.

One per connection, made by the shell; every Call of the connection shows it. ``principal`` is
Kafka's: the type, a colon, the name. What it may do, broker.api.rights knows.
"""

from dataclasses import dataclass
from typing import Final

from tickertape.broker.state.authentication import Gate

ANONYMOUS: Final = "User:ANONYMOUS"


@dataclass(slots=True)
class Session:
    """See the module. ``advertised``: the address of this listener; None: the settings have it."""

    principal: str = ANONYMOUS
    host: str = "127.0.0.1"  # what ACLs are compared with
    listener: str = "PLAINTEXT"
    advertised: tuple[str, int] | None = None
    gate: Gate | None = None  # None: this listener asks for no authentication
