"""Topic ids as Kafka makes them: random UUIDs, but none reserved and none that reads as a flag."""

from typing import Final
from uuid import UUID

from tickertape.base.ports import Rng

NO_TOPIC_ID: Final = UUID(int=0)
_RESERVED: Final = {NO_TOPIC_ID, UUID(int=1)}
_DASH: Final = 0b111110  # what '-' is in URL-safe base64


def random_topic_id(rng: Rng) -> UUID:
    """A version 4 UUID whose base64 form, which tools print, does not start with '-'."""
    while True:
        topic_id = UUID(bytes=rng.token(16), version=4)
        if topic_id not in _RESERVED and topic_id.bytes[0] >> 2 != _DASH:
            return topic_id
