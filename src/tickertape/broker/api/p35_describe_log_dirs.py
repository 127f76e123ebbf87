"""DescribeLogDirs (key 35), versions 1 to 4.

Behaviour. One folder: the data directory. For each partition the bytes of its segments; there are
no followers, so no lag, and no partition is on the move. A null topic list means all; partitions
that do not exist are left out.

Versions. 2 flexible, 3 an error of the whole answer, 4 the volume's size (KIP-827).

Deviations. The volume's total and free bytes are -1, Kafka's word for unknown. Version 5 adds only
cordoned folders, of which this broker has none.
"""

from collections.abc import Iterable

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)


def describe_log_dirs(broker: Broker, request: Request, call: Call) -> None:
    """Size every partition asked for."""
    ask, _ = DescribeLogDirsRequest.decode(request.frame, request.at, request.version)
    if not may_cluster(broker, call, Operation.DESCRIBE):
        refusal = DescribeLogDirsResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        answer(call, request.header, refusal)
        return
    if ask.topics is None:
        topics = [_sized(broker, topic.name, None) for topic in broker.topics]
    else:
        topics = [_sized(broker, topic.topic, topic.partitions) for topic in ask.topics]
    result = DescribeLogDirsResult(
        error_code=ErrorCode.NONE,
        log_dir=broker.data_dir,
        topics=[topic for topic in topics if topic.partitions],
    )
    answer(call, request.header, DescribeLogDirsResponse(results=[result]))


def _sized(broker: Broker, name: str, wanted: Iterable[int] | None) -> DescribeLogDirsTopic:
    topic = broker.topics.get(name)
    partitions = [] if topic is None else topic.partitions
    asked = range(len(partitions)) if wanted is None else dict.fromkeys(wanted)
    return DescribeLogDirsTopic(
        name=name,
        partitions=[
            DescribeLogDirsPartition(partition_index=index, partition_size=partition.log.size)
            for index in asked
            if 0 <= index < len(partitions) and (partition := partitions[index]) is not None
        ],
    )
