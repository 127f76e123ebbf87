#!/bin/sh
# kafka-topics.sh --bootstrap-server host:port --list | --describe | --create | --alter | --delete [--topic name] ...
. "$(dirname -- "$0")/find-tape.sh"
exec "$tape" kafka-topics "$@"
