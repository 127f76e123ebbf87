"""Messages that kafka-python does not bundle, written down from the protocol.

They are KIP-848's two calls and the records of ``__consumer_offsets`` (Kafka's group coordinator)
and ``__transaction_state`` (its transaction coordinator).
The keys' first int16 (0 or 1: an offset, 2: a group, 3 to 8: a group of KIP-848) and the values'
(their version) are not part of the message: whoever reads the topic reads it first, and passes it
as the version. What is tagged in Kafka's values and of no use here (classic members, assignment
epochs and times) is left out.
"""

from typing import Any

from codegen.model import Definition


def _field(name: str, kind: str, versions: str = "0+", **more: Any) -> Definition:  # noqa: ANN401
    return {"name": name, "type": kind, "versions": versions, **more}


def _maybe(name: str, kind: str, versions: str = "0+", **more: Any) -> Definition:  # noqa: ANN401
    return _field(name, kind, versions, nullableVersions=versions, default="null", **more)


def _message(name: str, versions: str, flexible: str, *fields: Definition) -> Definition:
    return {
        "name": name, "validVersions": versions, "flexibleVersions": flexible,
        "fields": list(fields),
    }  # fmt: skip


_BY_ID = [_field("TopicId", "uuid"), _field("Partitions", "[]int32")]
_BY_ID_AND_NAME = [
    _field("TopicId", "uuid"),
    _field("TopicName", "string"),
    _field("Partitions", "[]int32"),
]
_ASSIGNMENT = [_field("TopicPartitions", "[]TopicPartitions", fields=_BY_ID_AND_NAME)]

_MEMBER = [
    _field("MemberId", "string"),
    _maybe("InstanceId", "string"),
    _maybe("RackId", "string"),
    _field("MemberEpoch", "int32"),
    _field("ClientId", "string"),
    _field("ClientHost", "string"),
    _field("SubscribedTopicNames", "[]string"),
    _maybe("SubscribedTopicRegex", "string"),
    _field("Assignment", "Assignment", fields=_ASSIGNMENT),
    _field("TargetAssignment", "Assignment", fields=_ASSIGNMENT),
    _field("MemberType", "int8", "1+", default=-1),
]

_GROUP = [
    _field("ErrorCode", "int16"),
    _maybe("ErrorMessage", "string"),
    _field("GroupId", "string"),
    _field("GroupState", "string"),
    _field("GroupEpoch", "int32"),
    _field("AssignmentEpoch", "int32"),
    _field("AssignorName", "string"),
    _field("Members", "[]Member", fields=_MEMBER),
    _field("AuthorizedOperations", "int32", default=-(1 << 31)),
]

_MEMBER_METADATA = [
    _field("memberId", "string"),
    _maybe("groupInstanceId", "string", "3+"),
    _field("clientId", "string"),
    _field("clientHost", "string"),
    _field("rebalanceTimeout", "int32", "1+"),
    _field("sessionTimeout", "int32"),
    _field("subscription", "bytes"),
    _field("assignment", "bytes"),
]

_GROUP_AND_MEMBER = [_field("GroupId", "string"), _field("MemberId", "string")]

_ALL = [
    _message(
        "ConsumerGroupHeartbeatRequest", "0-1", "0+",
        _field("GroupId", "string"),
        _field("MemberId", "string"),
        _field("MemberEpoch", "int32"),
        _maybe("InstanceId", "string"),
        _maybe("RackId", "string"),
        _field("RebalanceTimeoutMs", "int32", default=-1),
        _maybe("SubscribedTopicNames", "[]string"),
        _maybe("SubscribedTopicRegex", "string", "1+"),
        _maybe("ServerAssignor", "string"),
        _maybe("TopicPartitions", "[]TopicPartitions", fields=_BY_ID),
    ),
    _message(
        "ConsumerGroupHeartbeatResponse", "0-1", "0+",
        _field("ThrottleTimeMs", "int32"),
        _field("ErrorCode", "int16"),
        _maybe("ErrorMessage", "string"),
        _maybe("MemberId", "string"),
        _field("MemberEpoch", "int32"),
        _field("HeartbeatIntervalMs", "int32"),
        _maybe(
            "Assignment", "Assignment",
            fields=[_field("TopicPartitions", "[]TopicPartitions", fields=_BY_ID)],
        ),
    ),
    _message(
        "ConsumerGroupDescribeRequest", "0-1", "0+",
        _field("GroupIds", "[]string"),
        _field("IncludeAuthorizedOperations", "bool"),
    ),
    _message(
        "ConsumerGroupDescribeResponse", "0-1", "0+",
        _field("ThrottleTimeMs", "int32"),
        _field("Groups", "[]DescribedGroup", fields=_GROUP),
    ),
    _message(
        "OffsetCommitKey", "0-1", "none",
        _field("group", "string"),
        _field("topic", "string"),
        _field("partition", "int32"),
    ),
    _message(
        "OffsetCommitValue", "0-4", "4+",
        _field("offset", "int64"),
        _field("leaderEpoch", "int32", "3+", default=-1),
        _field("metadata", "string"),
        _field("commitTimestamp", "int64"),
        _field("expireTimestamp", "int64", "1", default=-1),
        _field("topicId", "uuid", "4+", taggedVersions="4+", tag=0),
    ),
    _message("GroupMetadataKey", "2", "none", _field("group", "string")),
    _message(
        "GroupMetadataValue", "0-4", "4+",
        _field("protocolType", "string"),
        _field("generation", "int32"),
        _field("protocol", "string", nullableVersions="0+"),
        _field("leader", "string", nullableVersions="0+"),
        _field("currentStateTimestamp", "int64", "2+", default=-1),
        _field("members", "[]MemberMetadata", fields=_MEMBER_METADATA),
    ),
    _message("ConsumerGroupMetadataKey", "3", "none", _field("GroupId", "string")),
    _message(
        "ConsumerGroupMetadataValue", "0", "0+",
        _field("Epoch", "int32"),
        _field("MetadataHash", "int64", default=0, taggedVersions="0+", tag=0),
    ),
    _message("ConsumerGroupMemberMetadataKey", "5", "none", *_GROUP_AND_MEMBER),
    _message(
        "ConsumerGroupMemberMetadataValue", "0", "0+",
        _maybe("InstanceId", "string"),
        _maybe("RackId", "string"),
        _field("ClientId", "string"),
        _field("ClientHost", "string"),
        _field("SubscribedTopicNames", "[]string"),
        _maybe("SubscribedTopicRegex", "string"),
        _field("RebalanceTimeoutMs", "int32", default=-1),
        _maybe("ServerAssignor", "string"),
    ),
    _message("ConsumerGroupTargetAssignmentMetadataKey", "6", "none", _field("GroupId", "string")),
    _message(
        "ConsumerGroupTargetAssignmentMetadataValue", "0", "0+",
        _field("AssignmentEpoch", "int32"),
    ),
    _message("ConsumerGroupTargetAssignmentMemberKey", "7", "none", *_GROUP_AND_MEMBER),
    _message(
        "ConsumerGroupTargetAssignmentMemberValue", "0", "0+",
        _field("TopicPartitions", "[]TargetTopicPartitions", fields=_BY_ID),
    ),
    _message("ConsumerGroupCurrentMemberAssignmentKey", "8", "none", *_GROUP_AND_MEMBER),
    _message(
        "ConsumerGroupCurrentMemberAssignmentValue", "0", "0+",
        _field("MemberEpoch", "int32"),
        _field("PreviousMemberEpoch", "int32"),
        _field("State", "int8"),
        _field("AssignedPartitions", "[]CurrentTopicPartitions", fields=_BY_ID),
        _field("PartitionsPendingRevocation", "[]CurrentTopicPartitions", fields=_BY_ID),
    ),
    _message("TransactionLogKey", "0", "none", _field("TransactionalId", "string")),
    _message(
        "TransactionLogValue", "0-1", "1+",
        _field("ProducerId", "int64"),
        _field("PreviousProducerId", "int64", "1+", default=-1, taggedVersions="1+", tag=0),
        _field("NextProducerId", "int64", "1+", default=-1, taggedVersions="1+", tag=1),
        _field("ProducerEpoch", "int16"),
        _field("TransactionTimeoutMs", "int32"),
        _field("TransactionStatus", "int8"),
        _maybe("TransactionPartitions", "[]PartitionsSchema", fields=[
            _field("Topic", "string"), _field("PartitionIds", "[]int32"),
        ]),
        _field("TransactionLastUpdateTimestampMs", "int64"),
        _field("TransactionStartTimestampMs", "int64"),
        _field("ClientTransactionVersion", "int16", "1+", default=0, taggedVersions="1+", tag=2),
        # Tag 3 is Kafka 4.3's NextProducerEpoch (KIP-939, two-phase commit), which nobody sets yet.
        _field("LastProducerEpoch", "int16", "1+", default=-1, taggedVersions="1+", tag=4),
    ),
]  # fmt: skip

DEFINITIONS: dict[str, Definition] = {message["name"]: message for message in _ALL}
