"""Every API asks for rights: without any a client learns nothing."""

from tests.rights_kit import Question, questions, told
from tests.unit.broker.harness import Core

from tickertape.broker.api.table import SERVED
from tickertape.broker.state.acl import CLUSTER_NAME, Acl, Operation, Pattern, Permission, Resource
from tickertape.broker.state.settings import BrokerSettings
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.frame import read_response_header

OPEN = {ApiKey.API_VERSIONS, ApiKey.SASL_HANDSHAKE, ApiKey.SASL_AUTHENTICATE}
"""Asked before anybody is known."""
QUIET = {
    ApiKey.METADATA,
    ApiKey.DESCRIBE_CLUSTER,
    ApiKey.LIST_GROUPS,
    ApiKey.LIST_TRANSACTIONS,
}
"""They leave out what the client may not see, and refuse nobody."""


def secured(*rules: Acl) -> Core:
    core = Core(BrokerSettings(authorizer_class_name="StandardAuthorizer"))
    for name in ("open", "closed"):
        core.broker.create_topic(name, 1, {})
    core.broker.groups.prepare()
    core.broker.transactions.prepare()
    core.broker.security.change_acls(rules, ())
    return core


def answer(core: Core, question: Question) -> list[str]:
    call = core.send(question.key, question.version, question.body)
    _, at = read_response_header(call.frame, question.key, question.version)
    return list(told(question.read(memoryview(call.frame), at)))


def test_every_api_is_asked_about() -> None:
    asked = {question.key for question in questions()}
    assert set(SERVED) - asked - OPEN == set(), "ask about it in tests/rights_kit.py"


def test_without_rights_everything_is_refused_and_nothing_given_away() -> None:
    core = secured()
    for question in questions():
        lines = answer(core, question)
        errors = {line.partition(": ")[2] for line in lines if "error" in line.partition(":")[0]}
        refusals = {error for error in errors if error.endswith("AUTHORIZATION_FAILED")}
        if question.key not in QUIET:
            assert refusals, f"{question.key.name}: {lines}"
        assert errors - refusals <= {"NONE"}, f"{question.key.name}: {lines}"


def test_what_is_there_and_what_is_not_are_answered_alike() -> None:
    for question in questions():
        there = secured()
        gone = secured()
        gone.broker.delete_topic(gone.broker.topics.get("closed"))  # type: ignore[arg-type]
        assert answer(there, question) == answer(gone, question), question.key.name


def test_with_all_rights_nothing_is_refused_for_want_of_them() -> None:
    core = secured(
        *(
            Acl(
                resource,
                CLUSTER_NAME if resource is Resource.CLUSTER else "*",
                Pattern.LITERAL,
                "User:*",
                "*",
                Operation.ALL,
                Permission.ALLOW,
            )
            for resource in (
                Resource.TOPIC,
                Resource.GROUP,
                Resource.CLUSTER,
                Resource.TRANSACTIONAL_ID,
            )
        )
    )
    for question in questions():
        if question.key is ApiKey.JOIN_GROUP:
            continue  # waits for others
        assert not [line for line in answer(core, question) if "AUTHORIZATION" in line]
