#!/usr/bin/env bash
# Tune a trained model on development data and write every development figure to benchmarks/results/.
#   bash benchmarks/evaluate_cold.sh MODEL_DIR NAME
# Calibration and threshold come from dev_expert, BiCSE's parameters from dev_gold and the CNTP third with equal weight.
# So the threshold's figures on dev_expert and the spans' on both parts are optimistic here; default_spans.py and
# default_model.py cross-fit them.
set -euo pipefail
model=$1 name=$2
data=../shared/data
python=${PYTHON:-.venv/bin/python}
results=benchmarks/results
evaluate() { "$python" -m toxitrace evaluate --model "$model" "$@"; }
evaluate --data $data/cold/dev_expert.jsonl --tune calibration >/dev/null
evaluate --data $data/cold/dev_expert.jsonl --tune threshold >/dev/null
evaluate --data $data/cold/dev.jsonl $data/cntp/toxic.jsonl --spans $data/cold/dev_gold.jsonl --tune bicse \
  --part "dev_gold, CNTP third" >/dev/null
evaluate --data $data/cold/dev.jsonl --spans $data/cold/dev_gold.jsonl \
  --part "COLD dev, spans on dev_gold" --output "$results/$name-cold-dev.json"
evaluate --data $data/cold/dev_expert.jsonl --part "dev_expert" --output "$results/$name-dev-expert.json"
evaluate --data $data/cntp/toxic.jsonl $data/cntp/clean.jsonl --part "CNTP third" --faithfulness \
  --output "$results/$name-cntp.json"
