#!/usr/bin/env bash
# From the texts to exports/default: pre-train, ask the teachers, train three times, average, tune, measure, export.
#   make model                                    # or: PRETRAIN_TIME=00:02:00:00 bash scripts/make_default_model.sh
# Needs the data at ../shared/data. A finished step is not repeated; an interrupted one goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
encoder=${ENCODER:-runs/pretrain-small}
recipe=configs/default.yaml
train() { "$python" -m toxitrace train --config $recipe --encoder.name "$encoder" --resume true "$@"; }
if [ ! -e "$encoder/toxitrace.json" ]; then
  "$python" -m toxitrace pretrain --config configs/pretrain-small.yaml --output "$encoder" --resume true \
    --max_time "${PRETRAIN_TIME:-00:04:00:00}"
fi
if [ ! -e runs/teacher.jsonl ]; then
  "$python" scripts/ngram_teacher.py --config $recipe --output runs/teacher.jsonl
fi
# The gradient losses give spans and cost verdicts, and how much depends on when they set in; the mean of trainings that
# differ in this keeps most of both, and n-grams that judge beside the encoder make up for the rest. Spans are cut from
# gradients, what the n-grams say of each token, and words (MODEL_CARD.md).
train --output runs/default # warm-up, kept beside it, then all losses
train --output runs/default-direct --schedule.warmup_epochs 0 --schedule.keep_warmup false --optim.ema_decay 0
if [ ! -e runs/teacher-encoders.jsonl ]; then
  "$python" scripts/encoder_teacher.py --config $recipe --encoder "$encoder" --with runs/teacher.jsonl \
    --output runs/teacher-encoders.jsonl --work runs/teacher-encoders
fi
train --output runs/default-long --schedule.warmup_epochs 0 --schedule.keep_warmup false --schedule.joint_epochs 2 \
  --data.teacher runs/teacher-encoders.jsonl --data.teacher_weight 0.7
"$python" scripts/average_models.py runs/default runs/default/warm-up runs/default-direct runs/default-long \
  --weights 1 1 3 3 --output runs/default-mean
if [ ! -e runs/words.txt ]; then
  "$python" scripts/count_words.py --config configs/pretrain-small.yaml --output runs/words.txt
fi
"$python" scripts/add_ngram_margin.py --model runs/default-mean --config $recipe --words runs/words.txt \
  --output runs/default-first
# Self-training: that model judges texts that nobody labelled, and the n-grams learn again, from these too.
if [ ! -e runs/teacher-self-training.jsonl ]; then
  "$python" scripts/self_training.py --config $recipe --texts configs/pretrain-small.yaml --models runs/default-first \
    --output runs/self-training.jsonl --teacher runs/teacher-self-training.jsonl
fi
"$python" scripts/add_ngram_margin.py --model runs/default-mean --config $recipe --words runs/words.txt \
  --unlabelled runs/self-training.jsonl --teacher runs/teacher-self-training.jsonl --inverse-l2 4 --output runs/default-wide
PYTHON=$python bash benchmarks/evaluate_cold.sh runs/default-wide default
"$python" -m toxitrace export --model runs/default-wide --output exports/default --precision fp16
"$python" benchmarks/default_model.py
"$python" benchmarks/default_spans.py
