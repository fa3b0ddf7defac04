#!/bin/sh
# Set up a checkout: a virtual environment with the exact packages of requirements.lock, Kafka's jars, Java.
# Uses uv where it is there, else venv and pip. Called by make; says in one line what is missing when it cannot.
set -eu
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

fail() {
    echo "setup: $1" >&2
    exit 2
}

say() {
    echo "setup: $1"
}

command -v "$PYTHON" >/dev/null 2>&1 || fail "$PYTHON is not there: install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$PYTHON is $("$PYTHON" -c 'import platform; print(platform.python_version())'): Python 3.11 or newer is needed (make PYTHON=...)"

if command -v uv >/dev/null 2>&1; then
    say "packages by uv, into $VENV"
    [ -x "$VENV/bin/python" ] || uv venv -q --python "$PYTHON" "$VENV" || fail "uv could not make $VENV"
    VIRTUAL_ENV=$VENV uv pip install -q --require-hashes -r requirements.lock || fail "the packages of requirements.lock could not be installed (see above)"
    VIRTUAL_ENV=$VENV uv pip install -q --no-deps -e . || fail "Handoff itself could not be installed (see above)"
else
    say "packages by pip, into $VENV (about a minute)"
    [ -x "$VENV/bin/pip" ] || "$PYTHON" -m venv "$VENV" || fail "$PYTHON cannot make a virtual environment: install its venv module (python3-venv)"
    "$VENV/bin/pip" install -q --disable-pip-version-check --require-hashes -r requirements.lock ||
        fail "the packages of requirements.lock could not be installed (see above)"
    "$VENV/bin/pip" install -q --disable-pip-version-check --no-deps -e . || fail "Handoff itself could not be installed (see above)"
fi
"$VENV/bin/python" -m handoff.broker prepare || exit 2
say "done"
