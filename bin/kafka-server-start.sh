#!/bin/sh
# kafka-server-start.sh [-daemon] server.properties [--override key=value]...
. "$(dirname -- "$0")/find-tape.sh"
case ${1-} in
-daemon)
    shift
    exec "$tape" broker start --detach "$@"
    ;;
'')
    echo "USAGE: $0 [-daemon] server.properties [--override property=value]*" >&2
    exit 1
    ;;
esac
exec "$tape" broker start "$@"
