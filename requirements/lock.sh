#!/usr/bin/env bash
# Writes the versions that CI installs: every package of the extra `dev`, for every Python and system at once.
set -euo pipefail
cd "$(dirname "$0")/.."
uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-emit-index-url --no-annotate \
    --custom-compile-command requirements/lock.sh --quiet --output-file requirements/ci.txt "$@"
