"""Labels for distillation: what encoders say of the texts they did not learn from, averaged with an earlier teacher.

    python scripts/encoder_teacher.py --config configs/default.yaml --with runs/teacher.jsonl \
        --output runs/teacher-encoders.jsonl --work runs/teacher-encoders

Equal texts share a fold. On all folds but one an encoder is trained with cross-entropy alone, as the recipe's warm-up
does, and asked about that fold (an encoder that knew the label would repeat it). The margins of both teachers are
averaged: {"id", "probability"} rows for `data.teacher`. A fold's model that is complete is not trained again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

import toxitrace
from toxitrace.cli.settings_parser import build_config
from toxitrace.cli.train import build_parser
from toxitrace.config import Paths, TrainConfig
from toxitrace.data.annotations import read_probabilities
from toxitrace.data.load import LabelledData, load_labelled
from toxitrace.settings import SETTINGS_FILE
from toxitrace.training.quiet import quiet_libraries
from toxitrace.training.train import train_one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="recipe of `toxitrace train`")
    parser.add_argument("--encoder", help="folder of the pre-trained encoder, instead of the recipe's")
    parser.add_argument("--with", dest="other", required=True, help="the earlier teacher's rows")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of the models")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    quiet_libraries()
    config = build_config(build_parser().parse_args(["--config", args.config]), TrainConfig)
    config = replace(
        config,
        data=replace(config.data, dev=Paths(), unlabelled=Paths(), rationales=Paths(), teacher=Paths([args.other])),
        encoder=replace(config.encoder, name=args.encoder or config.encoder.name),
        schedule=replace(config.schedule, warmup_epochs=1, joint_epochs=0),
        optim=replace(config.optim, ema_decay=0.0),  # of a single epoch it would keep much of the first weights
        tensorboard=False,
    )
    data = load_labelled(config.data, args.seed)
    other = read_probabilities(args.other)
    texts = {example.id: example.text for example in data.train if example.id in other}
    fold_of = _folds(list(texts.values()), args.folds, args.seed)
    told: dict[str, float] = {}
    for fold in range(args.folds):
        held = {id: text for id, text in texts.items() if fold_of[text] == fold}
        folder = args.work / f"fold-{fold}"
        if not (folder / SETTINGS_FILE).is_file():
            train_one(config, _without(data, held.keys()), folder, args.seed)
        margins = toxitrace.load(folder).margins(list(held.values()))
        told |= dict(zip(held, margins.tolist(), strict=True))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with args.output.open("w", encoding="utf-8") as file:
        for id, margin in told.items():
            probability = 1 / (1 + np.exp(-(margin + _margin(other[id])) / 2))
            file.write(json.dumps({"id": id, "probability": round(float(probability), 6)}, ensure_ascii=False) + "\n")
    print(f"{len(told)} texts asked about in {args.folds} folds")


def _folds(texts: list[str], n_folds: int, seed: int) -> dict[str, int]:
    unique = list(dict.fromkeys(texts))
    return dict(zip(unique, np.random.default_rng(seed).integers(0, n_folds, len(unique)).tolist(), strict=True))


def _without(data: LabelledData, held: Collection[str]) -> LabelledData:
    """Neither the texts of a fold nor their clauses, whose id is that of the text and more."""
    return replace(data, train=[example for example in data.train if example.id.split("#")[0] not in held])


def _margin(probability: float) -> float:
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))


if __name__ == "__main__":
    main()
