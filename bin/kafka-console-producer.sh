#!/bin/sh
# kafka-console-producer.sh --broker-list host:port --topic name
. "$(dirname -- "$0")/find-tape.sh"
exec "$tape" produce "$@"
