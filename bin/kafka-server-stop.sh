#!/bin/sh
# kafka-server-stop.sh [server.properties]: stops the broker of that file's data directory;
# without a file, the only broker that this user runs.
. "$(dirname -- "$0")/find-tape.sh"
exec "$tape" broker stop "$@"
