"""What the two requests that commit offsets share: whether one partition's offset can be kept."""

from tickertape.broker.state.broker import Broker
from tickertape.broker.state.offset_records import TopicIndex
from tickertape.wire.error_codes import ErrorCode


def offset_fault(broker: Broker, where: TopicIndex, metadata: str | None) -> ErrorCode:
    """NONE if the partition is there and the client's text is not too long."""
    if not broker.topics.has(*where):
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if len((metadata or "").encode()) > broker.settings.offset_metadata_max_bytes:
        return ErrorCode.OFFSET_METADATA_TOO_LARGE
    return ErrorCode.NONE
