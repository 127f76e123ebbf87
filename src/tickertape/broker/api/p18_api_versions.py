"""ApiVersions (key 18), versions 0 to 4.

Behaviour. Lists exactly what broker.api.table serves. A request of a version that we do not know
is answered in version 0 with UNSUPPORTED_VERSION and our range for this API, so that the client
can ask again (KIP-511). The response header never has tags. From version 3 the client names its
software; a name or version that does not look like one gets INVALID_REQUEST.

Versions. 3 flexible, client software (KIP-511), features (KIP-584); 4 features from level 0
(KIP-1022).

Features, supported and finalised, are those of broker.state.features. Before version 4 one that may
be at level 0 is not named among the supported: older clients cannot decode that.

Deviations. Of Kafka's features only those that mean something here.
"""

import re
from typing import Final

from tickertape.broker.api.outcome import Request, answer
from tickertape.broker.api.table import SERVED
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.call import Call
from tickertape.broker.state.features import SUPPORTED
from tickertape.wire.api_keys import ApiKey
from tickertape.wire.error_codes import ErrorCode
from tickertape.wire.frame import RequestHeader
from tickertape.wire.schema.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)

_FIRST_SOFTWARE: Final = 3
_FIRST_LEVEL_0: Final = 4
_SOFTWARE: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


def api_versions(broker: Broker, request: Request, call: Call) -> None:
    """List what is served."""
    ask, _ = ApiVersionsRequest.decode(request.frame, request.at, request.version)
    software = (ask.client_software_name, ask.client_software_version)
    if request.version >= _FIRST_SOFTWARE and not all(map(_SOFTWARE.fullmatch, software)):
        refusal = ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
        answer(call, request.header, refusal)
        return
    response = ApiVersionsResponse(
        api_keys=[_range(key, *versions) for key, versions in sorted(SERVED.items())],
        supported_features=[
            SupportedFeatureKey(name=name, min_version=levels.first, max_version=levels.last)
            for name, levels in SUPPORTED.items()
            if levels.first > 0 or request.version >= _FIRST_LEVEL_0
        ],
        finalized_features_epoch=broker.features.epoch,
        finalized_features=[
            FinalizedFeatureKey(name=name, max_version_level=level, min_version_level=level)
            for name, level in broker.features.levels.items()
            if level
        ],
    )
    answer(call, request.header, response)


def refuse_version(header: RequestHeader, call: Call) -> None:
    """The client is newer than we are: answer in version 0 with what we know of this API."""
    response = ApiVersionsResponse(
        error_code=ErrorCode.UNSUPPORTED_VERSION,
        api_keys=[_range(ApiKey.API_VERSIONS, *SERVED[ApiKey.API_VERSIONS])],
    )
    oldest = RequestHeader(header.api_key, 0, header.correlation_id, header.client_id)
    answer(call, oldest, response)


def _range(key: int, first: int, last: int) -> ApiVersion:
    return ApiVersion(api_key=key, min_version=first, max_version=last)
