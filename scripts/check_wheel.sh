#!/usr/bin/env bash
# Build the wheel, install it where nothing of the source tree can help it, and use it there.
#
# Runtime dependencies come from requirements/runtime.txt, without the extra `radio`: the core
# must work where Reticulum is not installed. PYTHON is the development environment's python.
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$PWD
python=$(cd "$(dirname "${PYTHON:-.venv/bin/python}")" && pwd)/python
version=$("$python" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

echo "wheel: build"
"$python" -m hatchling build -t wheel -d "$scratch/dist" >/dev/null
wheel=$(echo "$scratch"/dist/*.whl)

echo "wheel: holds every file of the package"
"$python" - "$wheel" <<'PY'
import sys, zipfile
from pathlib import Path

src = Path("src")
ours = {
    str(path.relative_to(src))
    for path in (src / "meshlog").rglob("*")
    if path.is_file() and path.suffix not in {".pyc", ".pyo"}
}
lacking = sorted(ours - set(zipfile.ZipFile(sys.argv[1]).namelist()))
if lacking:
    sys.exit(f"wheel: lacks {', '.join(lacking)}")
PY

echo "wheel: install in an empty environment"
"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "$wheel"
"$scratch/venv/bin/pip" check

echo "wheel: use"
cd "$scratch"
unset PYTHONPATH
said=$("$scratch/venv/bin/meshlog" --version </dev/null)
echo "$said"
case "$said" in
    *"$version"*) ;;
    *) echo "wheel: meshlog --version says '$said', the project says $version" >&2; exit 1 ;;
esac
"$scratch/venv/bin/meshlog" --help </dev/null >/dev/null
"$scratch/venv/bin/python" -I - "$repo" <<'PY'
import doctest, importlib.util, sys
from pathlib import Path

import meshlog

repo = Path(sys.argv[1])
here = Path(meshlog.__file__)
if repo in here.parents:
    sys.exit(f"wheel: imported {here} from the source tree")
if importlib.util.find_spec("RNS") is not None:
    sys.exit("wheel: RNS is installed; this environment must show that the core does without")
failed, ran = doctest.testfile(
    str(repo / "README.md"), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
)
if failed or not ran:
    sys.exit(f"wheel: of the examples in README.md, {ran} ran and {failed} failed")
print(f"meshlog from {here.parent}: {ran} lines of README.md's example ran")
PY
