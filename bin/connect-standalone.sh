#!/bin/sh
# connect-standalone.sh [-daemon] worker.properties connector.properties...
. "$(dirname -- "$0")/find-tape.sh"
if [ "${1-}" = -daemon ]; then
    shift
    nohup "$tape" worker start "$@" >>connect.log 2>&1 </dev/null &
    echo "worker $! started, its log: $(pwd)/connect.log"
    exit 0
fi
exec "$tape" worker start "$@"
