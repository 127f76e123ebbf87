"""Setting quotas: what is refused, and what one request says twice of one entity."""

import math

import pytest
from tests.unit.broker.harness import Core

from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.alter_client_quotas import (
    AlterClientQuotasRequest,
    AlterClientQuotasResponse,
    OpData,
    RequestEntityData,
    RequestEntryData,
)

ALICE = (("user", "alice"),)


def entry(key: str, value: float) -> RequestEntryData:
    entity = [RequestEntityData(entity_type=kind, entity_name=name) for kind, name in ALICE]
    return RequestEntryData(entity=entity, ops=[OpData(key=key, value=value)])


def errors(core: Core, *entries: RequestEntryData) -> list[int]:
    ask = AlterClientQuotasRequest(entries=list(entries))
    out = core.ask(ApiKey.ALTER_CLIENT_QUOTAS, 1, ask, AlterClientQuotasResponse)
    return [each.error_code for each in out.entries]


@pytest.mark.parametrize("value", [0.0, -1.0, 1.5, math.inf, -math.inf, math.nan])
def test_a_rate_is_a_whole_number_of_bytes(value: float) -> None:
    core = Core()
    assert errors(core, entry("producer_byte_rate", value)) == [ErrorCode.INVALID_REQUEST]
    assert core.broker.security.quotas == {}


def test_one_entity_twice_in_one_request_has_both() -> None:
    core = Core()
    two = (entry("producer_byte_rate", 5.0), entry("consumer_byte_rate", 6.0))
    assert errors(core, *two) == [0, 0]
    assert core.broker.security.quotas == {
        ALICE: {"producer_byte_rate": 5.0, "consumer_byte_rate": 6.0}
    }
