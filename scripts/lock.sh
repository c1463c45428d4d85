#!/usr/bin/env bash
# Write the locks anew from pyproject.toml (`make lock`); `make lock UPGRADE=1` takes newer versions.
#
#   requirements/dev.txt      all that development needs: build backend, tools, extras, runtime
#   requirements/fuzz.txt     atheris, for `make fuzz`
#   requirements/runtime.txt  what `pip install meshlog` needs, the same versions; for the wheel check
#
# Versions and hashes only: which registry or mirror serves them is the reader's setting, and
# stays out of the repository (docs/adr/0003-lock.md). uv is used only here; UV= names one,
# else it is fetched into a temporary place.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ -z "${UV:-}" ]; then
    "${PYTHON:-python3}" -m venv "$scratch/venv"
    "$scratch/venv/bin/pip" install --quiet uv
    UV="$scratch/venv/bin/uv"
fi

compile() {
    "$UV" pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
        --generate-hashes --custom-compile-command "make lock" --no-emit-index-url \
        ${UPGRADE:+--upgrade} "$@" >/dev/null
}
compile --extra radio --extra metrics --extra encrypted --group build --group dev \
    -o requirements/dev.txt pyproject.toml
UPGRADE='' compile --constraint requirements/dev.txt -o requirements/runtime.txt pyproject.toml
compile --constraint requirements/dev.txt --group fuzz -o requirements/fuzz.txt

if grep -n '://' requirements/*.txt; then
    echo "lock: an address got into the lock; resolve from a registry, not from a URL" >&2
    exit 1
fi
