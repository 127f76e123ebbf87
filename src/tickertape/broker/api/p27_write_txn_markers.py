"""WriteTxnMarkers (key 27), versions 1 to 2.

Behaviour. Writes markers as they are given, each answered once it is durable. Between brokers this
ends transactions; here the coordinator does that itself, and the call is for operators who end one
that no coordinator knows (KIP-664: Admin.abortTransaction, ``tape txn abort``). Offsets that the
transaction has committed follow the marker. An epoch older than the producer's newest:
INVALID_PRODUCER_EPOCH; a coordinator epoch older: TRANSACTION_COORDINATOR_FENCED.

Versions. 1 flexible, 2 the transaction version (KIP-1228), which says how epochs are compared.

Deviations. None known.
"""

from collections.abc import Callable

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.transaction import V2, TopicIndex
from tickertape.log.transactions import Marker
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerPartitionResult,
    WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)


def write_txn_markers(broker: Broker, request: Request, call: Call) -> None:
    """Write them all, then answer when they are durable."""
    ask, _ = WriteTxnMarkersRequest.decode(request.frame, request.at, request.version)
    slots = [
        (number, (topic.name, index))
        for number, marker in enumerate(ask.markers)
        for topic in marker.topics
        for index in topic.partition_indexes
    ]
    outcomes: dict[tuple[int, TopicIndex], ErrorCode] = {}

    def settled(slot: tuple[int, TopicIndex], error: ErrorCode) -> None:
        outcomes[slot] = error
        if len(outcomes) == len(expected):
            answer(call, request.header, _response(ask, outcomes))

    expected = dict.fromkeys(slots)
    allowed = may_cluster(broker, call, Operation.ALTER) or may_cluster(
        broker, call, Operation.CLUSTER_ACTION
    )
    if not expected or not allowed:
        refused = dict.fromkeys(expected, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        answer(call, request.header, _response(ask, refused))
        return
    for slot in expected:
        _write(broker, ask.markers[slot[0]], slot, settled)


def _write(
    broker: Broker, marker: WritableTxnMarker, slot: tuple[int, TopicIndex],
    settled: Callable[[tuple[int, TopicIndex], ErrorCode], None],
) -> None:  # fmt: skip
    broker.transactions.write_marker(
        (marker.producer_id, marker.producer_epoch),
        Marker(marker.transaction_result, marker.coordinator_epoch),
        slot[1],
        lambda error: settled(slot, error),
        bumped=marker.transaction_version >= V2,
    )


def _response(
    ask: WriteTxnMarkersRequest, outcomes: dict[tuple[int, TopicIndex], ErrorCode]
) -> WriteTxnMarkersResponse:
    return WriteTxnMarkersResponse(
        markers=[
            WritableTxnMarkerResult(
                producer_id=marker.producer_id,
                topics=[
                    WritableTxnMarkerTopicResult(
                        name=topic.name,
                        partitions=[
                            WritableTxnMarkerPartitionResult(
                                partition_index=index,
                                error_code=outcomes[number, (topic.name, index)],
                            )
                            for index in topic.partition_indexes
                        ],
                    )
                    for topic in marker.topics
                ],
            )
            for number, marker in enumerate(ask.markers)
        ]
    )
