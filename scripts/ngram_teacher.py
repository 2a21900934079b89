"""Labels for distillation: what character n-grams say of every training text, cross-fitted.

    python scripts/ngram_teacher.py --config configs/default.yaml --output runs/teacher.jsonl

Reads the training texts of a recipe, softens doubtful labels as its training would, and writes {"id", "probability"}
rows for `data.teacher`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from toxitrace.cli.train import build_parser
from toxitrace.config import DataConfig, Paths
from toxitrace.data.load import load_labelled
from toxitrace.data.prepare import label_to_learn
from toxitrace.training.ngram_baseline import cross_fitted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="recipe of `toxitrace train`")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    recipe = build_parser()
    data: DataConfig = recipe.instantiate(recipe.parse_args(["--config", args.config])).data
    examples = load_labelled(
        replace(data, teacher=Paths(), unlabelled=Paths(), clauses=False, disguises=0.0), args.seed
    ).train
    soft = data.doubtful_label if data.soften_doubtful else None
    labels = [label_to_learn(one, soft) for one in examples]
    found = cross_fitted([one.text for one in examples], labels, n_folds=args.folds, seed=args.seed)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with args.output.open("w", encoding="utf-8") as file:
        for example, probability in zip(examples, found.tolist(), strict=True):
            file.write(json.dumps({"id": example.id, "probability": round(probability, 6)}, ensure_ascii=False) + "\n")
    print(f"{len(examples)} texts, mean label {sum(labels) / len(labels):.3f}, mean told {found.mean():.3f}")


if __name__ == "__main__":
    main()
