#!/usr/bin/env bash
# From the texts to exports/default: pre-train, ask the n-gram teacher, train, tune, measure, export.
#   make model                                    # or: PRETRAIN_TIME=00:02:00:00 bash scripts/make_default_model.sh
# Needs the data at ../shared/data. A finished step is not repeated; an interrupted one goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
encoder=${ENCODER:-runs/pretrain-small}
if [ ! -e "$encoder/toxitrace.json" ]; then
  "$python" -m toxitrace pretrain --config configs/pretrain-small.yaml --output "$encoder" --resume true \
    --max_time "${PRETRAIN_TIME:-00:04:00:00}"
fi
if [ ! -e runs/teacher.jsonl ]; then
  "$python" scripts/ngram_teacher.py --config configs/default.yaml --output runs/teacher.jsonl
fi
"$python" -m toxitrace train --config configs/default.yaml --encoder.name "$encoder" --resume true
PYTHON=$python bash benchmarks/evaluate_cold.sh runs/default default
"$python" -m toxitrace export --model runs/default --output exports/default --precision fp16
"$python" benchmarks/default_model.py
"$python" benchmarks/default_spans.py
