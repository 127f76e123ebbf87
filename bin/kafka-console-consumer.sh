#!/bin/sh
# kafka-console-consumer.sh --bootstrap-server host:port --topic name [--from-beginning]
. "$(dirname -- "$0")/find-tape.sh"
exec "$tape" consume "$@"
