# Sourced by the scripts of this folder: $tape is this checkout's `tape`, or else the one on PATH.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
tape=$here/../.venv/bin/tape
if [ ! -x "$tape" ]; then
    tape=$(command -v tape) || {
        echo "$0: no tape in $here/../.venv/bin (run: make run) and none on PATH" >&2
        exit 1
    }
fi
