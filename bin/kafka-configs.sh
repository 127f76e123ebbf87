#!/bin/sh
# kafka-configs.sh --bootstrap-server host:port --describe | --alter --entity-type topics --entity-name name ...
. "$(dirname -- "$0")/find-tape.sh"
exec "$tape" kafka-configs "$@"
