#!/usr/bin/env bash
# Writes the versions that CI installs (every package of the extra `dev`, for every Python and system at once), and those
# of the container (the extra `serve`, and what builds the wheel), with the hash of every file.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { uv pip compile pyproject.toml --no-emit-index-url --no-annotate --quiet \
    --custom-compile-command requirements/lock.sh "$@"; }
compile --extra dev --universal --python-version 3.11 --output-file requirements/ci.txt "$@"
compile --extra serve --universal --python-version 3.11 --generate-hashes --output-file requirements/serve.txt "$@"
printf 'hatchling\n' | uv pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
    --quiet --custom-compile-command requirements/lock.sh --output-file requirements/build.txt
