"""Which messages become which module. Not Produce, Fetch, Metadata: wire has them by hand."""

API_MODULES = [
    "ListOffsets", "OffsetCommit", "OffsetFetch", "FindCoordinator", "JoinGroup",
    "Heartbeat", "LeaveGroup", "SyncGroup", "DescribeGroups", "ListGroups", "SaslHandshake",
    "ApiVersions", "CreateTopics", "DeleteTopics", "DeleteRecords", "InitProducerId",
    "OffsetForLeaderEpoch", "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "WriteTxnMarkers",
    "TxnOffsetCommit", "DescribeAcls", "CreateAcls", "DeleteAcls", "DescribeConfigs",
    "AlterConfigs", "AlterReplicaLogDirs", "DescribeLogDirs", "SaslAuthenticate",
    "CreatePartitions", "DeleteGroups", "ElectLeaders", "IncrementalAlterConfigs",
    "AlterPartitionReassignments", "ListPartitionReassignments", "OffsetDelete",
    "DescribeClientQuotas", "AlterClientQuotas", "DescribeUserScramCredentials",
    "AlterUserScramCredentials", "DescribeCluster", "DescribeProducers", "DescribeTransactions",
    "ListTransactions", "ConsumerGroupHeartbeat", "ConsumerGroupDescribe", "ListConfigResources",
    "DescribeTopicPartitions", "UpdateFeatures",
]  # fmt: skip

RECORD_MODULES = {
    "consumer_protocol": ["ConsumerProtocolSubscription", "ConsumerProtocolAssignment"],
    "offsets_topic": [
        "OffsetCommitKey", "OffsetCommitValue", "GroupMetadataKey", "GroupMetadataValue",
    ],
    "consumer_group_records": [
        "ConsumerGroupMetadataKey", "ConsumerGroupMetadataValue",
        "ConsumerGroupMemberMetadataKey", "ConsumerGroupMemberMetadataValue",
        "ConsumerGroupTargetAssignmentMetadataKey", "ConsumerGroupTargetAssignmentMetadataValue",
        "ConsumerGroupTargetAssignmentMemberKey", "ConsumerGroupTargetAssignmentMemberValue",
        "ConsumerGroupCurrentMemberAssignmentKey", "ConsumerGroupCurrentMemberAssignmentValue",
    ],
    "transactions_topic": ["TransactionLogKey", "TransactionLogValue"],
}  # fmt: skip


def snake(name: str) -> str:
    """``groupId`` and ``GroupId`` to ``group_id``; a run of capitals is one word."""
    out = ""
    for index, char in enumerate(name):
        before = name[index - 1] if index else ""
        after = name[index + 1] if index + 1 < len(name) else ""
        starts_word = before.islower() or before.isdigit() or (before.isupper() and after.islower())
        out += "_" + char.lower() if char.isupper() and index and starts_word else char.lower()
    return out


def modules() -> dict[str, list[str]]:
    """Module name to the messages in it, in order."""
    return {
        **{snake(api): [f"{api}Request", f"{api}Response"] for api in API_MODULES},
        **RECORD_MODULES,
    }
