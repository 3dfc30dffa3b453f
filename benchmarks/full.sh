#!/usr/bin/env bash
# Every figure of README and docs that is not an accuracy and has a benchmark: run in an environment with the extra `dev`.
# Accuracy: handlens train, evaluate --field (see docs/results.md); it needs the photographs.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv-dev/bin/python}
status=0
for benchmark in startup one_photo memory origin_mask near_duplicates localiser dataset_scale download download_memory training_throughput evidence; do
    echo "== $benchmark"
    "$python" "benchmarks/$benchmark.py" || status=1
done
exit $status
