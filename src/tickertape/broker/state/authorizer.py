"""May this principal do this? The rules of Kafka's StandardAuthorizer, in memory.

A super user may do everything. Else the rules whose pattern matches the resource decide: a DENY
that fits wins over every ALLOW; if rules match the resource and none fits, the answer is no; only
if no rule names the resource at all, the default counts (allow.everyone.if.no.acl.found).
An ALLOW of READ, WRITE, DELETE or ALTER also allows DESCRIBE, one of ALTER_CONFIGS also
DESCRIBE_CONFIGS; a DENY denies only what it names.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from tickertape.broker.state.acl import (
    ANY_USER,
    WILDCARD,
    Acl,
    Operation,
    Pattern,
    Permission,
    Resource,
)

_ALLOWED_BY: Final = {
    Operation.DESCRIBE: frozenset(
        {
            Operation.DESCRIBE,
            Operation.READ,
            Operation.WRITE,
            Operation.DELETE,
            Operation.ALTER,
        }
    ),
    Operation.DESCRIBE_CONFIGS: frozenset({Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS}),
}
_ANY_NAME: Final = "hardcode"  # Kafka asks for this name to find super users and the default


class Authorizer:
    """See the module. Keeps an answer until the rules change: the same few questions come again."""

    _ANSWERS_MAX: Final = 10_000
    _NAME_MAX: Final = 255  # of longer ones, which anybody may make up, no answer is kept

    def __init__(self, super_users: Iterable[str], *, allow_if_no_acl: bool) -> None:
        self._super_users = frozenset(super_users)
        self._allow_if_no_acl = allow_if_no_acl
        self._acls: dict[Acl, None] = {}
        self._literal: dict[tuple[Resource, str], list[Acl]] = {}
        self._prefixed: dict[Resource, list[Acl]] = {}
        self._answers: dict[tuple[str, str, Operation, Resource, str], bool] = {}

    def __iter__(self) -> Iterator[Acl]:
        """Every rule."""
        return iter(self._acls)

    def __len__(self) -> int:
        """How many rules."""
        return len(self._acls)

    def __contains__(self, acl: Acl) -> bool:
        """Whether there is this rule."""
        return acl in self._acls

    def replace(self, acls: Iterable[Acl]) -> None:
        """These are the rules from now on."""
        self._acls = dict.fromkeys(acls)
        self._literal.clear()
        self._prefixed.clear()
        self._answers.clear()
        for acl in self._acls:
            if acl.pattern is Pattern.PREFIXED:
                self._prefixed.setdefault(acl.resource, []).append(acl)
            else:
                self._literal.setdefault((acl.resource, acl.name), []).append(acl)

    def allows(
        self, principal: str, host: str, operation: Operation, resource: Resource, name: str
    ) -> bool:
        """Whether ``principal`` at ``host`` may do this to the resource of that name."""
        question = (principal, host, operation, resource, name)
        known = self._answers.get(question)
        if known is None:
            known = self._decide(principal, host, operation, resource, name)
            if len(name) > self._NAME_MAX:
                return known
            if len(self._answers) >= self._ANSWERS_MAX:
                self._answers.clear()
            self._answers[question] = known
        return known

    def allows_some(
        self, principal: str, host: str, operation: Operation, resource: Resource
    ) -> bool:
        """Whether there could be a resource of that type with which this is allowed.

        Kafka's Authorizer.authorizeByResourceType: no name counts that a DENY covers as a whole.
        """
        if self.allows(principal, host, operation, resource, _ANY_NAME):
            return True
        fitting = [
            acl
            for acl in self._acls
            if acl.resource is resource
            and acl.operation in (operation, Operation.ALL)
            and acl.principal in (principal, ANY_USER)
            and acl.host in (host, WILDCARD)
        ]
        denied = [acl for acl in fitting if acl.permission is Permission.DENY]
        if any(acl.pattern is Pattern.LITERAL and acl.name == WILDCARD for acl in denied):
            return False
        return any(
            acl.permission is Permission.ALLOW and not any(_covers(no, acl) for no in denied)
            for acl in fitting
        )

    def _decide(
        self, principal: str, host: str, operation: Operation, resource: Resource, name: str
    ) -> bool:
        if principal in self._super_users:
            return True
        allowed, found = False, False
        for acl in self._matching(resource, name):
            found = True
            if acl.principal not in (principal, ANY_USER) or acl.host not in (host, WILDCARD):
                continue
            if acl.permission is Permission.DENY:
                if acl.operation in (operation, Operation.ALL):
                    return False
            elif acl.operation is Operation.ALL or acl.operation in _ALLOWED_BY.get(
                operation, (operation,)
            ):
                allowed = True
        return allowed if found else self._allow_if_no_acl

    def _matching(self, resource: Resource, name: str) -> Iterator[Acl]:
        yield from self._literal.get((resource, name), ())
        if name != WILDCARD:
            yield from self._literal.get((resource, WILDCARD), ())
        for acl in self._prefixed.get(resource, ()):
            if name.startswith(acl.name):
                yield acl


def _covers(denial: Acl, allowance: Acl) -> bool:
    """Whether the denial leaves nothing of the allowance."""
    if denial.pattern is Pattern.PREFIXED:
        return allowance.name.startswith(denial.name)
    return allowance.pattern is Pattern.LITERAL and allowance.name == denial.name
