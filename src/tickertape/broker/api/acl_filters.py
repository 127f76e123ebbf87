"""Which rules a filter of DescribeAcls or DeleteAcls means (Kafka's AclBindingFilter)."""

from typing import Protocol

from tickertape.broker.state.acl import (
    WILDCARD,
    Acl,
    Operation,
    Pattern,
    Permission,
    Resource,
)


class Filter(Protocol):
    """Both messages have one with these fields; None and ANY let everything through."""

    resource_type_filter: int
    resource_name_filter: str | None
    pattern_type_filter: int
    principal_filter: str | None
    host_filter: str | None
    operation: int
    permission_type: int


def fault(wanted: Filter) -> str | None:
    """Why the filter makes no sense; None if it does."""
    given = (
        (wanted.resource_type_filter, Resource),
        (wanted.pattern_type_filter, Pattern),
        (wanted.operation, Operation),
        (wanted.permission_type, Permission),
    )
    for code, kind in given:
        if code == 0 or code not in set(kind):
            return f"Filters contain UNKNOWN elements: {kind.__name__.lower()} {code}"
    return None


def matches(wanted: Filter, acl: Acl) -> bool:
    """Whether the rule is one that the filter means."""
    return (
        wanted.resource_type_filter in (Resource.ANY, acl.resource)
        and _matches_name(wanted, acl)
        and wanted.principal_filter in (None, acl.principal)
        and wanted.host_filter in (None, acl.host)
        and wanted.operation in (Operation.ANY, acl.operation)
        and wanted.permission_type in (Permission.ANY, acl.permission)
    )


def _matches_name(wanted: Filter, acl: Acl) -> bool:
    name, pattern = wanted.resource_name_filter, wanted.pattern_type_filter
    if pattern not in (Pattern.ANY, Pattern.MATCH, acl.pattern):
        return False
    if name is None or name == acl.name:
        return True
    if pattern != Pattern.MATCH:
        return False
    if acl.pattern is Pattern.PREFIXED:
        return name.startswith(acl.name)
    return acl.name == WILDCARD
