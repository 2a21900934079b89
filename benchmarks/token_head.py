"""A token head that learns the gradient saliency: its spans beside the exact ones, its speed beside the gradient's.

    python benchmarks/token_head.py --model runs/cold-scratch-small

The encoder is frozen; training it together with the head was not tried. Teacher: the scaled gradient saliency ĝ on
COLD training texts, most of them labelled toxic. Student: a head on the hidden states of every token, trained with
cross-entropy towards ĝ, which lies in [0, 1] as the head's sigmoid does and is what its expectation settles on. Two
sizes: linear on the last layer; an MLP on all layers. The epoch is chosen on held-out texts. Seeds change the start,
the held-out texts and the order, not the texts.

Spans are forced on texts with gold evidence. BiCSE is tuned for every method and seed on its own saliency, on
dev_gold for the CNTP third and on the CNTP third for dev_gold. A head counts as good where its mean over seeds is
not below the exact gradient. Everything is measured through ONNX graphs in onnxruntime. Time nothing while another
job runs.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import RESULTS, machine, require_shared
from scipy.stats import spearmanr
from token_head_student import HEADS, HeadGraph, Lesson, distil, read_lessons
from token_head_table import table, verdict

from toxitrace.assessment import Measurement, measure
from toxitrace.data import Example, attach_spans, read_examples, read_spans
from toxitrace.detector import Detector
from toxitrace.detector.loading import fingerprint
from toxitrace.detector.onnx_backend import MODEL_FILE, OnnxBackend
from toxitrace.detector.scoring import margins, saliencies
from toxitrace.detector.windowed import windowed
from toxitrace.encoder import load_classifier
from toxitrace.evaluation import SpanCounts, bootstrap_sums, count_spans, tune_bicse
from toxitrace.evaluation.span_scores import character_f1, exact_f1, iou, overlap_f1
from toxitrace.export import export_model
from toxitrace.export.onnx import to_onnx
from toxitrace.settings import load_settings
from toxitrace.text import TextTokenizer, separator_mask
from toxitrace.training.quiet import quiet_libraries

METRICS = {"character_f1": character_f1, "iou": iou, "overlap_f1": overlap_f1, "exact_f1": exact_f1}
EXACT = "exact gradient"
# What is reported on, and what its parameters are tuned on.
CROSSED = {"cntp": "dev_gold", "dev_gold": "cntp"}
# Sets of texts a turn consists of: one alone is over before a pool of threads that has slept is warm.
_SETS = 4

Runs = dict[str, list[dict[str, Measurement]]]
"""Method -> one entry per seed (a single one for the exact gradient): part -> what it found there."""


def main() -> None:
    args = _arguments()
    quiet_libraries()
    shared = require_shared()
    parts = _parts(shared)
    # spans out of the saliency alone, which is what a head can learn
    settings = replace(load_settings(args.model), ngram_evidence=0.0, word_share=0.0)
    tokenizer = TextTokenizer.load(args.model, settings.fold)
    classifier = load_classifier(args.model)
    lessons = read_lessons(classifier, _training_texts(shared, args), tokenizer, settings)
    _say(f"to learn from: {_amount(lessons)}")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "exact"
        export_model(args.model, folder)
        detectors = {EXACT: [Detector(OnnxBackend(folder), tokenizer, settings)]}
        heads: dict[str, Any] = {}
        for name in HEADS:
            detectors[name], heads[name] = [], []
            for seed in args.seeds:
                head, learnt = distil(lessons, partial(HEADS[name], classifier.model.config), seed, args)
                heads[name].append(learnt)
                _say(f"{name} head: {learnt}")
                folder = Path(work) / f"{name}-{seed}"
                _export(HeadGraph(classifier.model, settings.calibration, head), folder)
                detectors[name].append(Detector(OnnxBackend(folder), tokenizer, settings))
        runs: Runs = {
            name: [{part: measure(detector, examples) for part, examples in parts.items()} for detector in own]
            for name, own in detectors.items()
        }
        result: dict[str, Any] = {
            "settings": vars(args) | {"model": str(args.model), "encoder": "frozen"},
            "machine": machine(),
            "model_sha256": fingerprint(args.model),
            "lessons": _amount(lessons),
            "heads": heads,
            "margin_difference_max": _margin_difference(runs),
            "spearman": _agreement(runs),
            "spans": _span_scores(runs),
            "speed": _speed({name: own[0] for name, own in detectors.items()}, parts["cntp"], args),
        }
    result["verdict"] = verdict(result["spans"], EXACT)
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    (RESULTS / f"{args.name}.json").write_text(text, encoding="utf-8")
    (RESULTS / f"{args.name}.md").write_text(table(result, EXACT), encoding="utf-8")
    print(table(result, EXACT))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="BERT model folder that `toxitrace train` wrote")
    parser.add_argument("--texts", type=int, default=6000, help="COLD training texts that the heads learn from")
    parser.add_argument("--toxic-share", type=float, default=0.75, help="how many of them are labelled toxic")
    parser.add_argument("--epochs", type=int, default=4, help="at most; the best one on held-out texts counts")
    parser.add_argument("--held-out-share", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=16, help="texts")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--timed-texts", type=int, default=300, help="CNTP texts in a set of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--name", default="token_head", help="results/NAME.json and NAME.md")
    return parser.parse_args()


def _parts(shared: Path) -> dict[str, list[Example]]:
    """Texts with gold evidence; dev_gold's are COLD dev's, joined by id."""
    gold = read_spans(shared / "cold" / "dev_gold.jsonl")
    dev = [replace(e, label=None) for e in read_examples(shared / "cold" / "dev.jsonl") if e.id in gold]
    parts = {"cntp": read_examples(shared / "cntp" / "toxic.jsonl"), "dev_gold": attach_spans(dev, gold)}
    return {name: [example for example in examples if example.spans] for name, examples in parts.items()}


def _training_texts(shared: Path, args: argparse.Namespace) -> list[str]:
    examples = read_examples(shared / "cold" / "train.jsonl")
    n_toxic = round(args.toxic_share * args.texts)
    draw = random.Random(0)
    texts = []
    for label, n_texts in ((1, n_toxic), (0, args.texts - n_toxic)):
        of_label = [example.text for example in examples if example.label == label]
        texts += draw.sample(of_label, min(n_texts, len(of_label)))
    return texts


def _export(graph: HeadGraph, folder: Path) -> None:
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(to_onnx(graph).SerializeToString())


def _amount(lessons: Sequence[Lesson]) -> dict[str, Any]:
    targets = torch.cat([lesson.target for lesson in lessons])
    return {"n_texts": len(lessons), "n_tokens": len(targets), "mean_target": float(targets.mean())}


def _margin_difference(runs: Runs) -> float:
    """Largest difference of a margin from the exact graph's: the heads' graphs run the same encoder."""
    exact = runs[EXACT][0]
    return max(
        float(np.abs(run[p].margins - exact[p].margins).max()) for own in runs.values() for run in own for p in run
    )


def _agreement(runs: Runs) -> dict[str, Any]:
    """Spearman correlation of a head's saliency with the exact one over the characters of a text, mean over texts."""
    found: dict[str, Any] = {}
    for part, exact in runs[EXACT][0].items():
        found[part] = {}
        for name in HEADS:
            per_seed = [_correlations(run[part], exact) for run in runs[name]]
            found[part][name] = _over_seeds([statistics.fmean(own) for own in per_seed])
            found[part][name]["n_texts"] = [len(own) for own in per_seed]
    return found


def _correlations(found: Measurement, exact: Measurement) -> list[float]:
    """Of the texts that have one: at least three characters in words, not all with the same saliency."""
    result = []
    for example, ours, theirs in zip(exact.examples, found.saliencies, exact.saliencies, strict=True):
        words = ~separator_mask(example.text)
        if words.sum() >= 3 and np.ptp(ours[words]) > 0 and np.ptp(theirs[words]) > 0:
            result.append(float(spearmanr(ours[words], theirs[words]).statistic))
    return result


def _span_scores(runs: Runs) -> dict[str, Any]:
    """Part -> method -> measure: mean over seeds and the paired difference from exact, bootstrapped over texts."""
    found: dict[str, Any] = {}
    for part, other in CROSSED.items():
        rows = {name: [_counts(run[part], run[other]) for run in own] for name, own in runs.items()}
        found[part] = {"n_texts": len(rows[EXACT][0])}
        for name, own in rows.items():
            found[part][name] = {}
            for metric in METRICS:
                values = [float(_mean_metric(counts.sum(0, keepdims=True), metric)[0]) for counts in own]
                interval = bootstrap_sums(np.hstack(own), partial(_mean_metric, metric=metric))
                scores = _over_seeds(values) | interval.to_dict()
                if name != EXACT:
                    both = np.hstack([*rows[EXACT], *own])
                    scores["difference"] = bootstrap_sums(both, partial(_difference, metric=metric)).to_dict()
                found[part][name][metric] = scores
    return found


def _counts(reported: Measurement, tuned_on: Measurement) -> np.ndarray:
    """(n_texts, 10) span counts, with the parameters that are best on the other part."""
    stops = [separator_mask(example.text) for example in tuned_on.examples]
    params, _ = tune_bicse(tuned_on.saliencies, stops, [list(example.spans or ()) for example in tuned_on.examples])
    gold = [list(example.spans or ()) for example in reported.examples]
    return np.stack(count_spans(reported.extract(params), gold), axis=1)


def _mean_metric(sums: np.ndarray, metric: str) -> np.ndarray:
    """(r, 10 per run) sums -> (r,) mean over the runs."""
    n_fields = len(SpanCounts._fields)
    runs = [sums[:, start : start + n_fields] for start in range(0, sums.shape[1], n_fields)]
    return np.mean([METRICS[metric](SpanCounts(*run.T)) for run in runs], axis=0)


def _difference(sums: np.ndarray, metric: str) -> np.ndarray:
    """(r, 10 + 10 per seed): the mean over seeds less the exact gradient, which stands first."""
    n_fields = len(SpanCounts._fields)
    return _mean_metric(sums[:, n_fields:], metric) - _mean_metric(sums[:, :n_fields], metric)


def _over_seeds(values: list[float]) -> dict[str, Any]:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"value": statistics.fmean(values), "standard_deviation": spread, "values": values}


def _speed(detectors: dict[str, Detector], examples: list[Example], args: argparse.Namespace) -> dict[str, Any]:
    """Texts per second from token ids to weights; methods take turns, every round draws other texts for all of them."""
    exact = detectors[EXACT]
    cut = [
        windowed(tokens, exact.settings.max_tokens, 1)
        for tokens in exact.tokenizer.tokenize([e.text for e in examples])
    ]
    pool = [one.sequence(0, exact.tokenizer) for one in cut if one.bounds]
    pad_id = exact.tokenizer.pad_id
    methods: dict[str, Any] = {name: partial(saliencies, own.backend, pad_id=pad_id) for name, own in detectors.items()}
    methods["margin alone"] = partial(margins, exact.backend, pad_id=pad_id)
    rates: dict[str, list[float]] = {name: [] for name in methods}
    for number in range(args.rounds + 1):
        draw = random.Random(number)
        sets = [draw.sample(pool, min(args.timed_texts, len(pool))) for _ in range(_SETS)]
        for name, run in methods.items():
            time.sleep(0.3)  # until the threads of the session before have gone to sleep
            started = time.perf_counter()
            for sequences in sets:
                run(sequences)
            seconds = time.perf_counter() - started
            if number:  # the first round warms up
                rates[name].append(sum(map(len, sets)) / seconds)
    return {
        name: {
            "median": statistics.median(own),
            "low": min(own),
            "high": max(own),
            "over_exact": statistics.median(a / b for a, b in zip(own, rates[EXACT], strict=True)),
        }
        for name, own in rates.items()
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
