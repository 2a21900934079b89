"""Spans of the default model where no text helped to choose the parameters that cut it.

    python benchmarks/default_spans.py                      # the shipped model; some minutes
    python benchmarks/default_spans.py --model runs/default

BiCSE's parameters are chosen as for the shipped model, on dev_gold and the CNTP third with equal weight, but from four
fifths of each for the last fifth, five times; top-k's ratio likewise. Beside them: what n-grams' evidence and the list
of words add to the gradient, each with BiCSE tuned anew; parameters chosen on the other part alone; every character
marked. Spans are forced and only toxic texts with evidence count, as in the paper.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import RESULTS, machine, require_shared

import toxitrace
from toxitrace.assessment import measure
from toxitrace.config import DataConfig, Paths
from toxitrace.data.load import load_labelled
from toxitrace.data.rowfile import write_json
from toxitrace.detector import Detector
from toxitrace.evaluation import score_spans, tune_bicse, tune_topk
from toxitrace.spans import bicse, topk
from toxitrace.text import separator_mask

N_FOLDS = 5
MEASURES = ("character_f1", "character_precision", "character_recall", "iou", "exact_f1", "overlap_f1")
SHOWN = ("character_f1", "iou", "exact_f1")  # the table's; overlap F1 is blind to length
Bounds = Sequence[tuple[int, int]]
Cut = Callable[[npt.NDArray[np.float64], npt.NDArray[np.bool_]], list[Any]]


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts with gold evidence: saliency, separators and gold spans of each, and the part it comes from."""

    saliencies: list[npt.NDArray[np.float64]]
    separators: list[npt.NDArray[np.bool_]]
    gold: list[Bounds]
    parts: list[str]

    def where(self, chosen: npt.NDArray[np.bool_]) -> Texts:
        at = np.flatnonzero(chosen).tolist()
        return Texts(*([column[i] for i in at] for column in (self.saliencies, self.separators, self.gold, self.parts)))

    def cut(self, how: Cut) -> list[Bounds]:
        pairs = zip(self.saliencies, self.separators, strict=True)
        return [[span.bounds for span in how(*pair)] for pair in pairs]

    def bicse(self) -> Cut:
        """BiCSE as tuned on these texts, each part alike."""
        params, _ = tune_bicse(self.saliencies, self.separators, self.gold, parts=self.parts)
        return lambda saliency, stops: bicse(saliency, stops, params)

    def topk(self) -> Cut:
        ratio, _ = tune_topk(self.saliencies, self.separators, self.gold)
        return lambda saliency, stops: topk(saliency, stops, ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help="folder, or default for the shipped model")
    parser.add_argument("--output", type=Path, default=RESULTS / "default_spans.json")
    args = parser.parse_args()
    detector = toxitrace.load(None if args.model == "default" else args.model)
    texts = _measured(detector)
    folds = np.random.default_rng(0).integers(0, N_FOLDS, len(texts.gold))
    of = np.array(texts.parts)
    names = list(dict.fromkeys(texts.parts))
    found = {
        "BiCSE, cross-fitted": _cross_fitted(texts, folds, Texts.bicse),
        **{
            f"BiCSE, cross-fitted, {name}": _cross_fitted(_measured(one), folds, Texts.bicse)
            for name, one in _parts_of(detector).items()
        },
        "top-k, cross-fitted": _cross_fitted(texts, folds, Texts.topk),
        "BiCSE, tuned on the other part": _by_fold(texts, [(of != name, of == name) for name in names], Texts.bicse),
        "every character": [[(0, len(saliency))] for saliency in texts.saliencies],
    }
    systems: dict[str, Any] = {}
    for system, spans in found.items():
        systems[system] = {}
        for name in names:
            at = np.flatnonzero(of == name).tolist()
            scores = score_spans([spans[i] for i in at], [texts.gold[i] for i in at]).to_dict()
            systems[system][name] = {measure: scores[measure] for measure in MEASURES}
    sizes = {name: int((of == name).sum()) for name in names}
    result = {"model": args.model, "texts": sizes, "systems": systems, "machine": machine()}
    write_json(args.output, result)
    args.output.with_suffix(".md").write_text(_table(result), encoding="utf-8")
    print(_table(result))


def _parts_of(detector: Detector) -> dict[str, Detector]:
    """The same model with less in what spans are cut from; none for a model that has the gradient alone."""
    own = detector.settings
    changes: dict[str, dict[str, float]] = {}
    if own.ngram_evidence or own.word_share:
        changes["of the gradient alone"] = {"ngram_evidence": 0.0, "word_share": 0.0}
    if own.ngram_evidence and own.word_share:
        changes |= {"without words": {"word_share": 0.0}, "without n-grams' evidence": {"ngram_evidence": 0.0}}
    return {
        name: Detector(detector.backend, detector.tokenizer, replace(own, **change), words=detector.words)
        for name, change in changes.items()
    }


def _measured(detector: Detector) -> Texts:
    shared = require_shared()
    sources = {
        "dev_gold": DataConfig(
            train=Paths([str(shared / "cold/dev.jsonl")]), spans=Paths([str(shared / "cold/dev_gold.jsonl")])
        ),
        "CNTP third": DataConfig(train=Paths([str(shared / "cntp/toxic.jsonl")])),
    }
    texts = Texts([], [], [], [])
    for name, source in sources.items():
        examples = [example for example in load_labelled(source).train if example.spans]
        texts.saliencies.extend(measure(detector, examples).saliencies)
        texts.separators.extend(separator_mask(example.text) for example in examples)
        texts.gold.extend(list(example.spans or ()) for example in examples)
        texts.parts.extend([name] * len(examples))
    return texts


def _cross_fitted(texts: Texts, folds: npt.NDArray[np.int64], fit: Callable[[Texts], Cut]) -> list[Bounds]:
    return _by_fold(texts, [(folds != fold, folds == fold) for fold in range(N_FOLDS)], fit)


def _by_fold(
    texts: Texts,
    splits: list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]],
    fit: Callable[[Texts], Cut],
) -> list[Bounds]:
    """Spans of every text, cut as fitted on the first side of the split whose second side it is on."""
    found: list[Bounds] = [[]] * len(texts.gold)
    for fitted_on, judged in splits:
        spans = texts.where(judged).cut(fit(texts.where(fitted_on)))
        for i, own in zip(np.flatnonzero(judged).tolist(), spans, strict=True):
            found[i] = own
    return found


def _table(result: dict[str, Any]) -> str:
    names = list(result["texts"])
    titles = [measure.replace("_f1", " F1").replace("iou", "IoU") for measure in SHOWN]
    columns = [f"{name}, {title}" for name in names for title in titles]
    lines = [
        "Forced spans on toxic texts with evidence ("
        + "; ".join(f"{name}, {n}" for name, n in result["texts"].items())
        + "); no text had a part in choosing the parameters that cut it. In brackets 95 % bootstrap intervals.",
        "",
        f"| | {' | '.join(columns)} |",
        "|---|" + "---|" * len(columns),
    ]
    for system, by_part in result["systems"].items():
        cells = [_cell(by_part[name][measure]) for name in names for measure in SHOWN]
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: dict[str, float]) -> str:
    return "{:.1f} ({:.1f} to {:.1f})".format(*(100 * value[key] for key in ("value", "low", "high")))


if __name__ == "__main__":
    main()
