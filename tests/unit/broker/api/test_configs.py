"""DescribeConfigs, AlterConfigs and IncrementalAlterConfigs in the oldest and newest version."""

import pytest
from tests.unit.broker.harness import Core, batch, produced

from tickertape.base.fake_fs import Loss
from tickertape.broker.api.topic_catalog import TOPIC_CATALOG
from tickertape.broker.server.configure import configure
from tickertape.broker.state.settings import BrokerSettings
from tickertape.broker.state.topic_configs import KEPT_CONFIGS, LOG_CONFIGS, checked
from tickertape.config.broker_catalog import BROKER_CATALOG
from tickertape.config.properties import read_properties
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema import alter_configs, incremental_alter_configs
from tickertape.wire.schema.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
)

TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = range(4)
FROM_TOPIC, FROM_FILE, FROM_DEFAULT = 1, 4, 5
VERSIONS = pytest.mark.parametrize("version", [1, 4])


@pytest.fixture
def core() -> Core:
    return started("")


def started(properties: str) -> Core:
    """A broker with this server.properties, and topic t."""
    settings, _ = configure(read_properties(properties.encode(), "file"), "file", "/data")
    core = Core(settings.broker)
    core.create("t", 2, retention_ms="60000")
    return core


def describe(
    core: Core, kind: int, name: str, version: int = 4, keys: list[str] | None = None
) -> DescribeConfigsResult:
    resource = DescribeConfigsResource(
        resource_type=kind, resource_name=name, configuration_keys=keys
    )
    ask = DescribeConfigsRequest(
        resources=[resource], include_synonyms=True, include_documentation=True
    )
    (result,) = core.ask(ApiKey.DESCRIBE_CONFIGS, version, ask, DescribeConfigsResponse).results
    return result


def config_of(
    core: Core, name: str, kind: int = TOPIC, resource: str = "t"
) -> DescribeConfigsResourceResult:
    (found,) = describe(core, kind, resource, keys=[name]).configs
    return found


def value_of(core: Core, name: str) -> tuple[str | None, int]:
    found = config_of(core, name)
    return found.value, found.config_source


def alter(
    core: Core, *operations: tuple[str, int, str | None], version: int = 1, name: str = "t",
    kind: int = TOPIC, validate_only: bool = False,
) -> ErrorCode:  # fmt: skip
    ask = incremental_alter_configs.IncrementalAlterConfigsRequest(
        resources=[
            incremental_alter_configs.AlterConfigsResource(
                resource_type=kind,
                resource_name=name,
                configs=[
                    incremental_alter_configs.AlterableConfig(
                        name=key, config_operation=operation, value=value
                    )
                    for key, operation, value in operations
                ],
            )
        ],
        validate_only=validate_only,
    )
    answer = incremental_alter_configs.IncrementalAlterConfigsResponse
    (response,) = core.ask(ApiKey.INCREMENTAL_ALTER_CONFIGS, version, ask, answer).responses
    assert (response.resource_type, response.resource_name) == (kind, name)
    return ErrorCode(response.error_code)


def replace(core: Core, configs: dict[str, str | None], version: int = 2) -> ErrorCode:
    ask = alter_configs.AlterConfigsRequest(
        resources=[
            alter_configs.AlterConfigsResource(
                resource_type=TOPIC,
                resource_name="t",
                configs=[
                    alter_configs.AlterableConfig(name=key, value=value)
                    for key, value in configs.items()
                ],
            )
        ]
    )
    answer = alter_configs.AlterConfigsResponse
    (response,) = core.ask(ApiKey.ALTER_CONFIGS, version, ask, answer).responses
    return ErrorCode(response.error_code)


# -- describing ------------------------------------------------------------------------------


@VERSIONS
def test_a_topic_has_every_config_that_it_may_be_given(core: Core, version: int) -> None:
    result = describe(core, TOPIC, "t", version)
    found = {config.name: config for config in result.configs}
    assert set(found) == LOG_CONFIGS.keys() | KEPT_CONFIGS.keys() == TOPIC_CATALOG.keys()
    own = {name for name, config in found.items() if config.config_source == FROM_TOPIC}
    assert own == {"retention.ms"}
    if version == 4:
        assert all(config.documentation and config.config_type for config in found.values())


def test_what_a_topic_is_described_with_can_be_given_back_to_it(core: Core) -> None:
    shown = {config.name: config.value for config in describe(core, TOPIC, "t").configs}
    checked(shown)
    before = core.broker.topics.get("t")
    assert before is not None
    log = before.partitions[0]
    assert log is not None
    in_force = log.log.config
    assert replace(core, shown) == ErrorCode.NONE
    assert log.log.config == in_force


def test_synonyms_lead_from_the_topic_to_the_file_to_the_default() -> None:
    core = started("log.retention.hours=2\nlog.segment.bytes=5000\nmin.insync.replicas=2\n")
    retention = config_of(core, "retention.ms")
    assert [(each.name, each.value, each.source) for each in retention.synonyms] == [
        ("retention.ms", "60000", FROM_TOPIC),
        ("log.retention.hours", "7200000", FROM_FILE),
    ]
    segment = config_of(core, "segment.bytes")
    assert (segment.value, segment.config_source) == ("5000", FROM_FILE)
    assert [(each.name, each.value, each.source) for each in segment.synonyms] == [
        ("log.segment.bytes", "5000", FROM_FILE),
        ("log.segment.bytes", "1073741824", FROM_DEFAULT),
    ]
    assert value_of(core, "min.insync.replicas") == ("2", FROM_FILE)
    assert value_of(core, "cleanup.policy") == ("delete", FROM_DEFAULT)


def test_what_the_file_says_without_effect_is_shown_if_a_topic_could_have_it() -> None:
    core = started("compression.type=gzip\nlog.preallocate=true\n")
    assert value_of(core, "compression.type") == ("gzip", FROM_FILE)
    assert value_of(core, "segment.jitter.ms") == ("0", FROM_DEFAULT)
    assert value_of(core, "preallocate") == ("true", FROM_FILE)
    core = started("log.roll.jitter.hours=2\n")
    assert value_of(core, "segment.jitter.ms") == ("7200000", FROM_FILE)


@VERSIONS
def test_the_broker_shows_its_file_and_the_defaults(version: int) -> None:
    core = started(
        "num.partitions=7\nlog.retention.hours=2\nnum.io.threads=3\nssl.key.password=x\n"
    )
    found = {config.name: config for config in describe(core, BROKER, "1", version).configs}
    assert found.keys() == BROKER_CATALOG.keys()
    shown = {
        name: (found[name].value, found[name].config_source)
        for name in ("num.partitions", "log.retention.hours", "num.io.threads", "message.max.bytes")
    }
    assert shown == {
        "num.partitions": ("7", FROM_FILE),
        "log.retention.hours": ("2", FROM_FILE),
        "num.io.threads": ("3", FROM_FILE),
        "message.max.bytes": ("1048588", FROM_DEFAULT),
    }
    secret = found["ssl.key.password"]
    assert (secret.value, secret.is_sensitive) == (None, True)
    assert all(synonym.value is None for synonym in secret.synonyms)
    assert all(config.read_only for config in found.values())
    if version == 4:
        assert all(config.documentation for config in found.values())
        assert "without effect" in (found["num.io.threads"].documentation or "")


def test_a_broker_without_a_file_has_only_defaults_but_for_who_it_is() -> None:
    core = Core(BrokerSettings())
    changed = {
        config.name
        for config in describe(core, BROKER, "1").configs
        if config.config_source != FROM_DEFAULT
    }
    assert changed == {"node.id", "broker.id", "log.dirs", "advertised.listeners"}


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [
        (TOPIC, "nope", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "a b", ErrorCode.INVALID_TOPIC_EXCEPTION),
        (BROKER, "2", ErrorCode.INVALID_REQUEST),
        (BROKER, "", ErrorCode.NONE),
        (8, "1", ErrorCode.INVALID_REQUEST),
    ],
)
def test_what_cannot_be_described(core: Core, kind: int, name: str, error: ErrorCode) -> None:
    result = describe(core, kind, name)
    assert (result.error_code, result.configs) == (error, [])


# -- altering --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 1])
def test_a_change_is_in_force_at_once_and_survives_a_crash(core: Core, version: int) -> None:
    assert alter(core, ("max.message.bytes", SET, "200"), version=version) == ErrorCode.NONE
    refused = produced(core.produce("t", batch("x" * 300), partition=1))
    assert refused.error == ErrorCode.MESSAGE_TOO_LARGE
    core.crash(Loss.ALL)
    assert value_of(core, "max.message.bytes") == ("200", FROM_TOPIC)
    assert produced(core.produce("t", batch("x" * 300))).error == ErrorCode.MESSAGE_TOO_LARGE
    assert alter(core, ("max.message.bytes", DELETE, None), version=version) == ErrorCode.NONE
    assert value_of(core, "max.message.bytes") == ("1048588", FROM_DEFAULT)
    assert produced(core.produce("t", batch("x" * 300))).error == ErrorCode.NONE
    assert value_of(core, "retention.ms") == ("60000", FROM_TOPIC)


def test_lists_are_added_to_and_taken_from(core: Core) -> None:
    assert alter(core, ("cleanup.policy", APPEND, "compact")) == ErrorCode.NONE
    assert value_of(core, "cleanup.policy") == ("delete,compact", FROM_TOPIC)
    assert alter(core, ("cleanup.policy", APPEND, "compact")) == ErrorCode.NONE
    assert value_of(core, "cleanup.policy") == ("delete,compact", FROM_TOPIC)
    assert alter(core, ("cleanup.policy", SUBTRACT, "delete")) == ErrorCode.NONE
    assert value_of(core, "cleanup.policy") == ("compact", FROM_TOPIC)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("retention.ms", APPEND, "1"), ErrorCode.INVALID_CONFIG),
        (("retention.ms", SET, "soon"), ErrorCode.INVALID_CONFIG),
        (("no.such", SET, "1"), ErrorCode.INVALID_CONFIG),
        (("cleanup.policy", SUBTRACT, "delete"), ErrorCode.INVALID_CONFIG),
        (("retention.ms", SET, None), ErrorCode.INVALID_REQUEST),
        (("retention.ms", 9, "1"), ErrorCode.INVALID_REQUEST),
    ],
)
def test_a_refused_change_changes_nothing(
    core: Core, change: tuple[str, int, str | None], error: ErrorCode
) -> None:
    assert alter(core, ("segment.ms", SET, "5"), change) == error
    assert value_of(core, "segment.ms") == ("604800000", FROM_DEFAULT)


def test_validate_only_changes_nothing(core: Core) -> None:
    assert alter(core, ("segment.ms", SET, "5"), validate_only=True) == ErrorCode.NONE
    assert value_of(core, "segment.ms") == ("604800000", FROM_DEFAULT)


def test_one_config_or_resource_named_twice(core: Core) -> None:
    assert alter(core, ("segment.ms", SET, "5"), ("segment.ms", SET, "6")) == (
        ErrorCode.INVALID_REQUEST
    )
    twice = [
        alter_configs.AlterConfigsResource(resource_type=TOPIC, resource_name="t", configs=[])
    ] * 2
    ask = alter_configs.AlterConfigsRequest(resources=twice)
    response = core.ask(ApiKey.ALTER_CONFIGS, 2, ask, alter_configs.AlterConfigsResponse)
    assert [each.error_code for each in response.responses] == [ErrorCode.INVALID_REQUEST] * 2


def test_only_topics_can_be_changed(core: Core) -> None:
    change = ("num.partitions", SET, "3")
    assert alter(core, change, name="nope") == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert alter(core, change, kind=BROKER, name="1") == ErrorCode.INVALID_REQUEST
    assert alter(core, change, kind=BROKER, name="2") == ErrorCode.INVALID_REQUEST
    assert alter(core, kind=BROKER, name="1") == ErrorCode.NONE
    assert alter(core, change, kind=8, name="1") == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("version", [0, 2])
def test_alter_configs_replaces_them_all(core: Core, version: int) -> None:
    assert replace(core, {"segment.ms": "77"}, version) == ErrorCode.NONE
    assert value_of(core, "segment.ms") == ("77", FROM_TOPIC)
    assert value_of(core, "retention.ms") == ("604800000", FROM_DEFAULT)
    assert replace(core, {"segment.ms": None}, version) == ErrorCode.INVALID_REQUEST
    core.restart()
    assert value_of(core, "segment.ms") == ("77", FROM_TOPIC)


def test_a_disk_that_refuses_leaves_the_configs_as_they_were(core: Core) -> None:
    core.fs.fail_at(1)
    assert alter(core, ("segment.ms", SET, "5")) == ErrorCode.KAFKA_STORAGE_ERROR
    assert value_of(core, "segment.ms") == ("604800000", FROM_DEFAULT)
