"""The default model's verdicts against character n-grams with logistic regression, on development data.

    python benchmarks/default_model.py                                # the shipped model; about 5 minutes
    python benchmarks/default_model.py --models runs/default exports/default

The baseline learns three times: from COLD with its published labels, from the labelled data of configs/default.yaml
with its soft labels, and from these and the texts that scripts/self_training.py found, with the model's word, if they
are there. Everybody is scored on the same parts; differences to the second baseline are paired (bootstrap over texts).
Macro-F1 takes a threshold from four fifths of dev_expert for the last fifth, five times: no text chooses its own. The
epoch and the recipe of the model were chosen on dev_expert, its calibration and threshold too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import RESULTS, machine, require_shared

import toxitrace
from toxitrace.cli.train import build_parser
from toxitrace.config import DataConfig, Paths
from toxitrace.data.load import load_labelled
from toxitrace.data.prepare import label_to_learn
from toxitrace.detector.scoring import probabilities
from toxitrace.evaluation.bootstrap import bootstrap_indices
from toxitrace.evaluation.calibration import best_threshold, recall_at_false_alarm
from toxitrace.evaluation.classification import confusion_matrix, macro_f1, weighted_auroc
from toxitrace.training.ngram_baseline import NgramBaseline

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Judge = Callable[[list[str]], Floats]
BASELINE = "n-grams, same data and labels"
SELF_TRAINED = "n-grams, those and the unlabelled texts"
MACRO_F1 = "macro-F1"
SELF_TRAINING = ("runs/self-training.jsonl", "runs/teacher-self-training.jsonl")  # scripts/self_training.py
N_FOLDS, FALSE_ALARMS = 5, 0.10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["default"], help="folders, or default for the shipped model")
    parser.add_argument("--config", default="configs/default.yaml")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS / "default_model.json")
    args = parser.parse_args()
    parts = _parts(require_shared())
    systems = _baselines(args.config) | {name: _model(name) for name in args.models}
    scores = {name: {part: judge(texts) for part, (texts, _) in parts.items()} for name, judge in systems.items()}
    found: dict[str, Any] = {}
    for name, by_part in scores.items():
        found[name] = {}
        for part, (_, labels) in parts.items():
            for measure, statistic in _measures(part).items():
                own, base = by_part[part], None if name == BASELINE else scores[BASELINE][part]
                if measure == MACRO_F1:  # verdicts once: a refit on a resample would see copies of what it judges
                    own, base = (None if one is None else _cross_fitted_verdicts(one, labels) for one in (own, base))
                found[name][f"{part}, {measure}"] = _compared(statistic, own, base, labels, args)
    sizes = {part: {"texts": len(labels), "toxic": int(labels.sum())} for part, (_, labels) in parts.items()}
    result = {"settings": {k: v for k, v in vars(args).items() if k != "output"}, "parts": sizes, "systems": found}
    result["flagged"] = {name: _flagged(name, require_shared()) for name in args.models}
    args.output.write_text(json.dumps(result | {"machine": machine()}, ensure_ascii=False, indent=1) + "\n", "utf-8")
    args.output.with_suffix(".md").write_text(_table(result), encoding="utf-8")
    print(_table(result))


def _parts(shared: Path) -> dict[str, tuple[list[str], Labels]]:
    """Name -> texts and labels; ChineseHarm's abuse against its harmless texts is a transfer check."""

    def rows(name: str) -> list[dict[str, Any]]:
        return _rows(shared / name)

    expert = rows("cold/dev_expert.jsonl")
    cntp = [*rows("cntp/toxic.jsonl"), *rows("cntp/clean.jsonl")]
    harm = [row for row in rows("chineseharm/bench.jsonl") if row["category"] in ("abuse", "none")]
    return {
        "dev_expert": ([r["text"] for r in expert], np.array([r["label"] for r in expert])),
        "CNTP third": ([r["text"] for r in cntp], np.array([r["label"] for r in cntp])),
        "ChineseHarm abuse": ([r["text"] for r in harm], np.array([int(r["category"] == "abuse") for r in harm])),
    }


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="\n") as lines:  # not splitlines(): texts hold U+2028
        return [json.loads(line) for line in lines]


def _flagged(name: str, shared: Path) -> dict[str, dict[str, float]]:
    """Share of texts above the model's threshold, by the experts' fine classes and by evasion."""
    detector = toxitrace.load(None if name == "default" else name)
    groups: dict[str, list[str]] = {}
    for row in _rows(shared / "cold" / "dev_expert.jsonl"):
        groups.setdefault(f"dev_expert: {row['fine']}", []).append(row["text"])
    for path in sorted((shared / "cntp").glob("*.jsonl")):
        groups[f"CNTP third: {path.stem}"] = [row["text"] for row in _rows(path)]
    return {
        group: {"texts": len(texts), "flagged": float(np.mean([one.toxic for one in detector.predict(texts)]))}
        for group, texts in groups.items()
    }


def _baselines(config: str) -> dict[str, Judge]:
    recipe = build_parser()
    data: DataConfig = recipe.instantiate(recipe.parse_args(["--config", config])).data
    examples = load_labelled(replace(data, teacher=Paths(), unlabelled=Paths(), clauses=False, disguises=0.0), 1).train
    soft = [label_to_learn(one, data.doubtful_label) for one in examples]
    cold = [one for one in examples if one.id.startswith("train-")]
    published = NgramBaseline().fit([one.text for one in cold], [float(one.label or 0) for one in cold])
    same = NgramBaseline().fit([one.text for one in examples], soft)
    found = {"n-grams, COLD, published labels": published.predict, BASELINE: same.predict}
    if all(Path(name).is_file() for name in SELF_TRAINING):
        texts, told = (Paths([name]) for name in SELF_TRAINING)
        every = load_labelled(replace(data, unlabelled=texts, teacher=told, clauses=False, disguises=0.0), 1)
        labels = [label_to_learn(one, data.doubtful_label, every.teacher.get(one.id)) for one in every.train]
        found[SELF_TRAINED] = NgramBaseline().fit([one.text for one in every.train], labels).predict
    return found


def _model(name: str) -> Judge:
    detector = toxitrace.load(None if name == "default" else name)
    return lambda texts: probabilities(np.maximum(detector.margins(texts), -30.0), detector.settings.calibration)


def _measures(part: str) -> dict[str, Callable[[Floats, Labels], float]]:
    def area(scores: Floats, labels: Labels) -> float:
        return float(weighted_auroc(scores, labels, np.ones((1, len(labels))))[0])

    def recall(scores: Floats, labels: Labels) -> float:
        return recall_at_false_alarm(scores[labels == 1], scores[labels == 0], FALSE_ALARMS)

    if part == "dev_expert":
        return {MACRO_F1: lambda verdicts, labels: float(macro_f1(confusion_matrix(labels, verdicts))), "AUROC": area}
    return {"AUROC": area, "recall at 10 % false alarms": recall}


def _cross_fitted_verdicts(scores: Floats, labels: Labels) -> Floats:
    folds = np.random.default_rng(0).integers(0, N_FOLDS, len(labels))
    verdicts = np.zeros(len(labels))
    for fold in range(N_FOLDS):
        threshold = best_threshold(scores[folds != fold], labels[folds != fold])
        verdicts[folds == fold] = scores[folds == fold] >= threshold
    return verdicts


def _compared(
    statistic: Callable[[Floats, Labels], float],
    own: Floats,
    base: Floats | None,
    labels: Labels,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """The measure of one system, and its difference to the baseline over the same resamples."""

    def interval(of_rows: Callable[[npt.NDArray[np.intp]], float]) -> dict[str, Any]:
        return bootstrap_indices(of_rows, len(labels), args.resamples, args.seed).to_dict()

    cell = {"value": interval(lambda i: statistic(own[i], labels[i]))}
    if base is not None:
        cell["difference"] = interval(lambda i: statistic(own[i], labels[i]) - statistic(base[i], labels[i]))
    return cell


def _table(result: dict[str, Any]) -> str:
    columns = list(next(iter(result["systems"].values())))
    lines = [
        "Development parts: "
        + "; ".join(f"{part}, {size['texts']} texts, {size['toxic']} toxic" for part, size in result["parts"].items())
        + f". In brackets 95 % bootstrap intervals; below, the difference to *{BASELINE}*, paired by text.",
        "",
        f"| | {' | '.join(columns)} |",
        "|---|" + "---|" * len(columns),
    ]
    for name, cells in result["systems"].items():
        lines.append(f"| {name} | {' | '.join(_cell(cells[column]['value']) for column in columns)} |")
        if "difference" in cells[columns[0]]:
            gaps = (_cell(cells[column]["difference"], "+") for column in columns)
            lines.append(f"| *difference* | {' | '.join(gaps)} |")
    lines += [
        "",
        "Share of texts that the model flags at its own threshold; the last column says how many there are.",
        "",
    ]
    lines += [f"| | {' | '.join(result['flagged'])} | texts |", "|---|" + "---|" * (len(result["flagged"]) + 1)]
    for group, cell in next(iter(result["flagged"].values())).items():
        shares = [f"{100 * by_group[group]['flagged']:.1f} %" for by_group in result["flagged"].values()]
        lines.append(f"| {group} | {' | '.join(shares)} | {cell['texts']} |")
    return "\n".join(lines) + "\n"


def _cell(value: dict[str, float], sign: str = "") -> str:
    v, low, high = (format(100 * value[key], f"{sign}.1f") for key in ("value", "low", "high"))
    return f"{v} ({low} to {high})"


if __name__ == "__main__":
    main()
