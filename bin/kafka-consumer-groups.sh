#!/bin/sh
# kafka-consumer-groups.sh --bootstrap-server host:port --list | --describe | --reset-offsets | --delete [--group name] ...
. "$(dirname -- "$0")/find-tape.sh"
exec "$tape" kafka-consumer-groups "$@"
