"""What access is about: resources, operations and the rules (ACLs) that say who may do what.

The numbers are the protocol's (Kafka's ResourceType, AclOperation, AclPermissionType, PatternType).
A rule grants or denies one operation to one principal from one host on the resources whose names
its pattern matches: the name itself, every name that begins so, or with ``*`` every name.
"""

from enum import IntEnum
from typing import Final, NamedTuple

CLUSTER_NAME: Final = "kafka-cluster"
"""The one resource of type CLUSTER."""
WILDCARD: Final = "*"
ANY_USER: Final = "User:*"


class Resource(IntEnum):
    """What can be protected; the first two are for filters only."""

    UNKNOWN = 0
    ANY = 1
    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5
    DELEGATION_TOKEN = 6
    USER = 7


class Operation(IntEnum):
    """What can be done to it; ANY is for filters only, ALL is a rule's word for each of them."""

    UNKNOWN = 0
    ANY = 1
    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12
    CREATE_TOKENS = 13
    DESCRIBE_TOKENS = 14
    TWO_PHASE_COMMIT = 15


class Permission(IntEnum):
    """What a rule says; ANY is for filters only."""

    UNKNOWN = 0
    ANY = 1
    DENY = 2
    ALLOW = 3


class Pattern(IntEnum):
    """How a rule's name is meant; ANY and MATCH are for filters only."""

    UNKNOWN = 0
    ANY = 1
    MATCH = 2
    LITERAL = 3
    PREFIXED = 4


class Acl(NamedTuple):
    """One rule. Equal rules are one rule."""

    resource: Resource
    name: str
    pattern: Pattern
    principal: str
    host: str
    operation: Operation
    permission: Permission


_OPERATIONS_OF: Final = {
    Resource.TOPIC: (3, 4, 5, 6, 7, 8, 10, 11),
    Resource.GROUP: (3, 6, 8, 10, 11),
    Resource.CLUSTER: (5, 7, 8, 9, 10, 11, 12),
    Resource.TRANSACTIONAL_ID: (4, 8, 15),
    Resource.DELEGATION_TOKEN: (8,),
    Resource.USER: (13, 14),
}
OPERATIONS_OF: Final[dict[Resource, tuple[Operation, ...]]] = {
    resource: tuple(map(Operation, codes)) for resource, codes in _OPERATIONS_OF.items()
}
"""Kafka's AclEntry.supportedOperations: what can be asked about a resource of each type."""
