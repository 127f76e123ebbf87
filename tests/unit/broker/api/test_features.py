"""Finalised features: what ApiVersions tells, what UpdateFeatures changes, what a restart keeps."""

import json

import pytest
from tests.unit.broker.harness import DATA_DIR, Core

from tickertape.base.errors import StorageError
from tickertape.base.fake_fs import Loss
from tickertape.broker.state.features import FILE_NAME, SUPPORTED, Features
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.api_versions import ApiVersionsRequest, ApiVersionsResponse
from tickertape.wire.schema.update_features import (
    FeatureUpdateKey,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)

NAME = "transaction.version"
UPGRADE, SAFE, UNSAFE = 1, 2, 3
REFUSED = ErrorCode.INVALID_UPDATE_VERSION


def versions(core: Core, version: int = 4) -> ApiVersionsResponse:
    ask = ApiVersionsRequest(client_software_name="test", client_software_version="1")
    return core.ask(ApiKey.API_VERSIONS, version, ask, ApiVersionsResponse)


def finalised(core: Core) -> dict[str, int]:
    return {each.name: each.max_version_level for each in versions(core).finalized_features}


def update(
    core: Core, level: int, kind: int = UPGRADE, *, name: str = NAME, version: int = 2,
    validate_only: bool = False,
) -> UpdateFeaturesResponse:  # fmt: skip
    one = FeatureUpdateKey(
        feature=name, max_version_level=level, upgrade_type=kind, allow_downgrade=kind != UPGRADE
    )
    ask = UpdateFeaturesRequest(feature_updates=[one], validate_only=validate_only)
    return core.ask(ApiKey.UPDATE_FEATURES, version, ask, UpdateFeaturesResponse)


def test_a_new_folder_has_the_newest_levels() -> None:
    core = Core()
    assert finalised(core) == {name: levels.last for name, levels in SUPPORTED.items()}
    assert versions(core).finalized_features_epoch == 1
    supported = {each.name: each.min_version for each in versions(core).supported_features}
    assert supported[NAME] == 0
    assert NAME not in {each.name for each in versions(core, 3).supported_features}
    assert versions(core, 2).finalized_features == []


def test_an_older_folder_stays_where_it_is_until_it_is_upgraded() -> None:
    core = Core()
    core.fs.remove(f"{DATA_DIR}/{FILE_NAME}")
    core.restart()
    assert finalised(core)[NAME] == 1
    assert update(core, 2).error_code == 0
    core.crash(Loss.ALL)
    assert finalised(core)[NAME] == 2


@pytest.mark.parametrize("version", [0, 1, 2])
def test_downgrades_are_asked_for_by_name(version: int) -> None:
    core = Core()
    refused = update(core, 1, version=version)
    assert (refused.error_code, refused.results) == (REFUSED, [])
    assert finalised(core)[NAME] == 2
    assert update(core, 0, SAFE, version=version).error_code == 0
    assert NAME not in finalised(core)
    assert versions(core).finalized_features_epoch == 2


def test_what_is_refused() -> None:
    core = Core()
    for answer in (
        update(core, 3),
        update(core, -1, UNSAFE),
        update(core, 1, name="beer.version"),
        update(core, 2, 4),
    ):
        assert answer.error_code == REFUSED
        assert answer.error_message
    assert update(core, 1, SAFE).error_code == 0
    assert update(core, 2, SAFE).error_code == REFUSED
    assert update(core, 2, validate_only=True).error_code == 0
    assert finalised(core)[NAME] == 1


def test_all_or_none() -> None:
    core = Core()
    good = FeatureUpdateKey(feature=NAME, max_version_level=1, upgrade_type=SAFE)
    bad = FeatureUpdateKey(feature="beer.version", max_version_level=1)
    ask = UpdateFeaturesRequest(feature_updates=[good, bad])
    out = core.ask(ApiKey.UPDATE_FEATURES, 1, ask, UpdateFeaturesResponse)
    assert (out.error_code, out.results) == (REFUSED, [])
    assert finalised(core)[NAME] == 2


def test_a_disk_that_refuses_changes_nothing() -> None:
    core = Core()
    core.fs.fail_always(frozenset({"rename"}))
    assert update(core, 1, SAFE).error_code == ErrorCode.FEATURE_UPDATE_FAILED
    assert finalised(core)[NAME] == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        json.dumps({"version": 2, "epoch": 1, "levels": {}}).encode(),
        json.dumps({"version": 1, "epoch": "x", "levels": {}}).encode(),
        json.dumps({"version": 1, "epoch": 1, "levels": {NAME: 3}}).encode(),
        json.dumps({"version": 1, "epoch": 1, "levels": {NAME: "2"}}).encode(),
        json.dumps({"version": 1, "epoch": 1, "levels": {"beer.version": 1}}).encode(),
    ],
)
def test_a_file_that_is_not_ours_stops_the_start(content: bytes) -> None:
    core = Core()
    core.fs.write_atomic(f"{DATA_DIR}/{FILE_NAME}", content)
    with pytest.raises(StorageError, match=FILE_NAME):
        Features(core.fs, DATA_DIR).load()
