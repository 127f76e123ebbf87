"""Records of ``__transaction_state``, in Kafka's own format: TransactionLogKey 0, Value 1.

Every key and value starts with its version, two bytes. A null value: the id has expired. Values
of version 0 are read too. The epoch before the newest is in tag 4 (KAFKA-20357: without it, no
repeated InitProducerId is known after a restart), which brokers before that skip.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from tickertape.broker.state.transaction import State, Transaction
from tickertape.wire.message import split_version
from tickertape.wire.primitives import DecodeError
from tickertape.wire.records import Record
from tickertape.wire.schema.transactions_topic import (
    PartitionsSchema,
    TransactionLogKey,
    TransactionLogValue,
)

KEY_VERSION: Final = 0
VALUE_VERSION: Final = 1


def transaction_record(transaction: Transaction) -> Record:
    """The record that stores it; a tombstone if it is dead."""
    key = TransactionLogKey(transactional_id=transaction.transactional_id).encode(KEY_VERSION)
    value = None
    if transaction.state is not State.DEAD:
        value = _versioned(VALUE_VERSION, _value(transaction).encode(VALUE_VERSION))
    return Record(0, transaction.updated_ms, _versioned(KEY_VERSION, key), value)


def _value(transaction: Transaction) -> TransactionLogValue:
    by_topic: dict[str, list[int]] = {}
    for topic, index in sorted(transaction.partitions):
        by_topic.setdefault(topic, []).append(index)
    empty = transaction.state is State.EMPTY
    return TransactionLogValue(
        producer_id=transaction.producer_id,
        previous_producer_id=transaction.previous_producer_id,
        next_producer_id=transaction.next_producer_id,
        producer_epoch=transaction.epoch,
        last_producer_epoch=transaction.last_epoch,
        transaction_timeout_ms=transaction.timeout_ms,
        transaction_status=transaction.state,
        transaction_partitions=None
        if empty
        else [PartitionsSchema(topic=t, partition_ids=ids) for t, ids in by_topic.items()],
        transaction_last_update_timestamp_ms=transaction.updated_ms,
        transaction_start_timestamp_ms=transaction.started_ms,
        client_transaction_version=transaction.client_version,
    )


def read_transactions(records: Iterable[Record]) -> Iterator[tuple[str, Transaction | None]]:
    """(transactional id, what is stored of it or None if it is gone). DecodeError if damaged."""
    for record in records:
        if record.key is None:
            continue
        version, body = split_version(record.key)
        if version != KEY_VERSION:
            continue
        key, _ = TransactionLogKey.decode(body, 0, version)
        if record.value is None:
            yield key.transactional_id, None
        else:
            yield key.transactional_id, _read(key.transactional_id, record.value)


def _read(transactional_id: str, stored: bytes) -> Transaction:
    value, _ = TransactionLogValue.decode_stored(stored)
    if value.transaction_status not in set(State):
        raise DecodeError(f"{transactional_id!r}: status {value.transaction_status}, want 0 to 7")
    return Transaction(
        transactional_id=transactional_id,
        producer_id=value.producer_id,
        previous_producer_id=value.previous_producer_id,
        next_producer_id=value.next_producer_id,
        epoch=value.producer_epoch,
        last_epoch=value.last_producer_epoch,
        timeout_ms=value.transaction_timeout_ms,
        state=State(value.transaction_status),
        partitions=frozenset(
            (part.topic, index)
            for part in value.transaction_partitions or ()
            for index in part.partition_ids
        ),
        started_ms=value.transaction_start_timestamp_ms,
        updated_ms=value.transaction_last_update_timestamp_ms,
        client_version=value.client_transaction_version,
    )


def _versioned(version: int, body: bytes) -> bytes:
    return version.to_bytes(2, "big") + body
