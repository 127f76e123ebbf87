"""Which test shows what of which client: the table of docs/kafka.md is made of this.

A client that cannot do a thing has the reason instead, beginning with "cannot".
"""

from typing import Final

TOPICS: Final = (
    "produce, consume",
    "groups, rebalances",
    "idempotence",
    "commit, abort",
    "zombie fenced",
    "timeout",
    "admin",
)

SENT = "test_what_is_sent_is_read_in_order"
SHARED = "test_two_members_share_a_topic_and_the_next_go_on_from_the_commit"
THIRD = "test_two_members_share_a_topic_and_a_third_goes_on_from_the_commit"
WHOLE = "test_every_codec_is_read_back_whole_from_the_middle_of_a_batch"
FENCED = "test_transactions_commit_abort_and_fence"
LATE = "test_a_late_transaction_is_aborted_and_its_owner_is_told"


def _in(file: str, *tests: str) -> tuple[str, ...]:
    return tuple(f"{file}::{test}" for test in tests)


JAVA: Final = _in(
    "test_java.py", WHOLE, SHARED, WHOLE, "test_transactions", "test_transactions", LATE,
    "test_admin_creates_describes_and_deletes",
)  # fmt: skip
GO: Final = _in(
    "test_go.py", WHOLE, SHARED, WHOLE, FENCED, FENCED, LATE,
    "test_admin_creates_alters_describes_and_deletes",
)  # fmt: skip

COVERED: Final[dict[str, tuple[str, ...]]] = {
    "confluent-kafka (librdkafka)": (
        *_in("test_confluent.py", SENT, THIRD, SENT),
        *_in(
            "test_transactions.py",
            "test_commit_and_abort",
            "test_a_zombie_is_fenced_and_its_records_are_never_seen",
            "test_a_late_transaction_is_aborted",
        ),
        "test_admin.py::test_configs_are_described_and_altered_in_steps",
    ),
    "Java 4.3": JAVA,
    "Java 3.9": JAVA,
    "Java 2.8": JAVA,
    "kafka-python": (
        *_in("test_kafka_python.py", SENT, THIRD, SENT),
        "test_transactions.py::test_kafka_python",
        *_in(
            "test_transactions_python.py",
            "test_kafka_python_a_zombie_is_fenced",
            "test_kafka_python_a_late_transaction_is_aborted",
        ),
        "test_admin.py::test_kafka_python_describes_and_alters",
    ),
    "aiokafka": (
        *_in("test_aiokafka.py", SENT, SHARED, SENT),
        "test_transactions.py::test_aiokafka",
        *_in(
            "test_transactions_python.py",
            "test_aiokafka_a_zombie_is_fenced",
            "test_aiokafka_a_late_transaction_is_aborted",
        ),
        "test_aiokafka.py::test_topics_are_created_by_produce_and_by_the_admin_client",
    ),
    "kafkajs": _in(
        "test_kafkajs.py",
        SENT,
        SHARED,
        SENT,
        FENCED,
        FENCED,
        LATE,
        "test_admin_creates_describes_and_deletes",
    ),
    "franz-go": GO,
    "sarama": GO,
}
"""Client -> the test of each of TOPICS, in their order."""


def table() -> list[str]:
    """The rows of docs/kafka.md."""
    heads = ["client", *TOPICS]
    rows = [[client, *map(_cell, tests)] for client, tests in COVERED.items()]
    ruled = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in ruled]


def _cell(test: str) -> str:
    return test if test.startswith("cannot") else "yes"
