"""UpdateFeatures (key 57), versions 0 to 2.

Behaviour. Finalises levels of features (broker.state.features), durably and all of them or none.
A level that this broker cannot run at, a feature that it does not know, or a direction that the
upgrade type does not allow: INVALID_UPDATE_VERSION, of the whole request. Level 0 takes the feature
out of use.

Versions. 0 allows downgrades by a flag, 1 says the type of upgrade and can only validate (KIP-778),
2 has no results per feature.

Deviations. None known.
"""

from typing import Final

from tickertape.base.errors import StorageError
from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.rights import may_cluster
from tickertape.broker.state.acl import Operation
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.features import SUPPORTED
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.schema.update_features import (
    FeatureUpdateKey,
    UpdatableFeatureResult,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)

_UPGRADE: Final = 1
_DOWNGRADES: Final = frozenset({2, 3})  # safe, unsafe


def update_features(broker: Broker, request: Request, call: Call) -> None:
    """Check them all, then change them all."""
    ask, _ = UpdateFeaturesRequest.decode(request.frame, request.at, request.version)
    error, message = ErrorCode.NONE, None
    if not may_cluster(broker, call, Operation.ALTER):
        error = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    else:
        reasons = (_refusal(broker, update, request.version) for update in ask.feature_updates)
        message = next(filter(None, reasons), None)
        if message is not None:
            error = ErrorCode.INVALID_UPDATE_VERSION
        elif not ask.validate_only:
            error, message = _change(broker, ask)
    results = [UpdatableFeatureResult(feature=each.feature) for each in ask.feature_updates]
    response = UpdateFeaturesResponse(
        error_code=error,
        error_message=message,
        results=results if error is ErrorCode.NONE else [],
    )
    answer(call, request.header, response)


def _change(broker: Broker, ask: UpdateFeaturesRequest) -> tuple[ErrorCode, str | None]:
    levels = {update.feature: update.max_version_level for update in ask.feature_updates}
    try:
        broker.features.change(levels)
    except StorageError as error:
        return ErrorCode.FEATURE_UPDATE_FAILED, str(error)
    return ErrorCode.NONE, None


def _refusal(broker: Broker, update: FeatureUpdateKey, version: int) -> str | None:
    name, level = update.feature, update.max_version_level
    supported = SUPPORTED.get(name)
    invalid = f"Invalid update version {level} for feature {name}."
    if supported is None:
        return f"{invalid} This broker does not support this feature."
    if not supported.first <= level <= supported.last:
        return f"{invalid} This broker only supports versions {supported.first}-{supported.last}"
    downgrade = update.allow_downgrade if version == 0 else update.upgrade_type in _DOWNGRADES
    if not downgrade and version > 0 and update.upgrade_type != _UPGRADE:
        return f"{invalid} Unknown upgrade type {update.upgrade_type}."
    now = broker.features.level(name)
    if level < now and not downgrade:
        return (
            f"{invalid} Can't downgrade the version of this feature without setting the upgrade "
            "type to either safe or unsafe downgrade."
        )
    if level > now and downgrade:
        return f"{invalid} Can't downgrade to a newer version."
    return None
