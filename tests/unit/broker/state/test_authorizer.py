"""StandardAuthorizer's rules, one by one."""

import tracemalloc

import pytest

from tickertape.broker.state.acl import Acl, Operation, Pattern, Permission, Resource
from tickertape.broker.state.authorizer import Authorizer

READ, WRITE, DESCRIBE = Operation.READ, Operation.WRITE, Operation.DESCRIBE


def rule(
    name: str,
    operation: Operation = Operation.READ,
    permission: Permission = Permission.ALLOW,
    *,
    pattern: Pattern = Pattern.LITERAL,
    principal: str = "User:a",
    host: str = "*",
) -> Acl:
    return Acl(Resource.TOPIC, name, pattern, principal, host, operation, permission)


def ruled_by(*acls: Acl, allow_if_no_acl: bool = False) -> Authorizer:
    authorizer = Authorizer({"User:root"}, allow_if_no_acl=allow_if_no_acl)
    authorizer.replace(acls)
    return authorizer


def allows(
    authorizer: Authorizer, operation: Operation, name: str, who: str = "User:a", host: str = "h"
) -> bool:
    return authorizer.allows(who, host, operation, Resource.TOPIC, name)


def test_without_rules_the_default_counts_and_super_users_pass() -> None:
    assert not allows(ruled_by(), READ, "t")
    assert allows(ruled_by(), READ, "t", "User:root")
    assert allows(ruled_by(allow_if_no_acl=True), READ, "t")


def test_a_rule_about_others_takes_the_default_away() -> None:
    authorizer = ruled_by(rule("t", principal="User:b"), allow_if_no_acl=True)
    assert not allows(authorizer, READ, "t")
    assert allows(authorizer, READ, "u")


@pytest.mark.parametrize(
    ("acl", "name", "expected"),
    [
        (rule("t"), "t", True),
        (rule("t"), "tt", False),
        (rule("*"), "t", True),
        (rule("t", pattern=Pattern.PREFIXED), "tt", True),
        (rule("tt", pattern=Pattern.PREFIXED), "t", False),
        (rule("t", principal="User:*"), "t", True),
        (rule("t", host="h"), "t", True),
        (rule("t", host="other"), "t", False),
        (rule("t", Operation.ALL), "t", True),
        (rule("t", WRITE), "t", False),
    ],
)
def test_what_a_rule_matches(acl: Acl, name: str, expected: bool) -> None:  # noqa: FBT001
    assert allows(ruled_by(acl), READ, name) is expected


def test_deny_wins_however_it_matches() -> None:
    denied = rule("t", READ, Permission.DENY, pattern=Pattern.PREFIXED, principal="User:*")
    authorizer = ruled_by(rule("tt"), rule("*", Operation.ALL), denied)
    assert not allows(authorizer, READ, "tt")
    assert allows(authorizer, WRITE, "tt")
    assert allows(authorizer, READ, "tt", "User:root"), "not over a super user"


def test_implied_operations_are_allowed_but_not_denied() -> None:
    assert allows(ruled_by(rule("t", READ)), DESCRIBE, "t")
    assert allows(ruled_by(rule("t", Operation.ALTER_CONFIGS)), Operation.DESCRIBE_CONFIGS, "t")
    assert not allows(ruled_by(rule("t", Operation.ALTER_CONFIGS)), DESCRIBE, "t")
    authorizer = ruled_by(rule("t", DESCRIBE), rule("t", READ, Permission.DENY))
    assert allows(authorizer, DESCRIBE, "t")


def test_an_answer_changes_with_the_rules() -> None:
    authorizer = ruled_by()
    assert not allows(authorizer, READ, "t")
    authorizer.replace([rule("t")])
    assert allows(authorizer, READ, "t")


@pytest.mark.parametrize(
    ("acls", "expected"),
    [
        ([], False),
        ([rule("t", WRITE)], True),
        ([rule("t", READ)], False),
        ([rule("t", WRITE), rule("*", WRITE, Permission.DENY)], False),
        ([rule("t", WRITE), rule("t", WRITE, Permission.DENY)], False),
        ([rule("tt", WRITE), rule("t", WRITE, Permission.DENY, pattern=Pattern.PREFIXED)], False),
        ([rule("*", WRITE), rule("t", WRITE, Permission.DENY)], True),
        (
            [
                rule("t", WRITE, pattern=Pattern.PREFIXED),
                rule("tt", WRITE, Permission.DENY, pattern=Pattern.PREFIXED),
            ],
            True,
        ),
        ([rule("t", WRITE, principal="User:b")], False),
    ],
)
def test_whether_there_is_any_topic_to_write(acls: list[Acl], expected: bool) -> None:  # noqa: FBT001
    authorizer = ruled_by(*acls)
    assert authorizer.allows_some("User:a", "h", WRITE, Resource.TOPIC) is expected


def test_names_that_anybody_can_make_up_are_not_kept() -> None:
    authorizer = ruled_by(rule("t", pattern=Pattern.PREFIXED))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(50):
            assert allows(authorizer, READ, f"t{number}" + "x" * 100_000)
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert kept < 100_000
