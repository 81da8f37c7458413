#!/bin/sh
# Writes constraints.txt from a fresh environment: the newest versions within pyproject.toml's ranges, and torch as it was pinned.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
torch=$(grep '^torch==' constraints.txt)
"$PYTHON" -m venv "$folder/venv"
python=$folder/venv/bin/python
"$python" -m pip install --quiet --upgrade pip
"$python" -m pip install --quiet ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "$torch"
"$python" -m pip install --quiet "$torch" ".[test,lint,audit,browser,remotes]"
{
    echo "# Every version that the project is tested with; \`make constraints\` writes this file. torch comes with a build for each"
    echo "# kind of machine: tools/install.sh chooses."
    "$python" -m pip list --format=freeze | grep -v -E '^(viggo-pipe|setuptools|wheel)==' | sed 's/^\(torch==[0-9.]*\)+.*/\1/' | LC_ALL=C sort -f
} > "$folder/constraints.txt"
mv "$folder/constraints.txt" constraints.txt
