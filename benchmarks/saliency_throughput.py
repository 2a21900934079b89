r"""Gradient saliency: texts per second of this package against torch and its attribution libraries, in one run.

    python benchmarks/saliency_throughput.py --small runs/small

The small model of the committed result is one without n-grams, which OpenVINO computed wrongly before
`toxitrace.export.ngrams`; `saliency_throughput_shipped` is the default model's folder, with them (`--sizes small`):

    toxitrace train --config configs/cold-scratch-small.yaml --output runs/small --encoder.name null \
        --encoder.scratch.ngram_buckets 0 --data.limit 3000 --optim.lr 6e-4

The same texts (300 toxic ones of the CNTP third), the same token ids, the same weights for all; methods take turns,
each in a process of its own, the median round counts. Every round draws other texts, so that no method meets shapes
it has prepared itself for. Two sizes: the small model as trained, and a base-size BERT with random weights, whose
speed is that of any BERT of its size. Also measured: how far each path is from float64 torch, in saliency and in
spans; the share of the machine's best matrix-product rate, of saliency in fp32 and bf16 and of the forward graph in
int8 too; the forward-only graph; and a set as large as CNTP end to end. Slow methods see only the first
``--slow-texts`` texts. Time nothing while another job runs.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import RESULTS, machine, require_shared
from matrix_rate import Precision, needed_operations, share_of_limit
from throughput_methods import detector_saliency, methods_here, reference, timed_process
from throughput_table import table
from tokenizers import Tokenizer

import toxitrace
from toxitrace.config import EncoderConfig, ScratchConfig
from toxitrace.data import read_examples
from toxitrace.detector.backend import Backend
from toxitrace.detector.extract import extract_spans
from toxitrace.detector.scoring import TokenWeights, margins, saliencies
from toxitrace.detector.windowed import char_saliency, windowed
from toxitrace.encoder import Classifier, load_classifier, new_classifier, save_classifier
from toxitrace.evaluation import score_spans
from toxitrace.export import export_model
from toxitrace.settings import ModelSettings, load_settings
from toxitrace.text import TextTokenizer, separator_mask
from toxitrace.training.precision import has_fast_bf16
from toxitrace.training.quiet import quiet_libraries

BASE = ScratchConfig(layers=12, hidden=768, heads=12, feed_forward=3072, max_positions=512, vocab_size=21128)
CNTP_SIZE = 2533
# Sets of texts a turn consists of: one alone is over, with the small model, before a process that has slept is warm.
_SETS = {"small": 4, "base": 1}
PAPER_SECONDS = 118.0


@dataclass
class Case:
    """A model in all its forms, and texts as it reads them."""

    classifier: Classifier
    folder: Path
    export: Path
    int8: Path
    """The export whose forward graph is quantised."""
    tokenizer: TextTokenizer
    sequences: list[list[int]]
    """Of the texts whose saliency is compared."""
    pool: list[list[int]]
    """Of all texts; rounds of timing draw from here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=Path, required=True, help="model folder of the trained small model")
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--slow-texts", type=int, default=30, help="texts for the methods that take one at a time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", choices=("small", "base"), default=["small", "base"])
    parser.add_argument("--name", default="saliency_throughput", help="results/NAME.json and NAME.md")
    args = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(os.cpu_count() or 1)
    shared = require_shared()
    texts = [e.text for e in read_examples(shared / "cntp" / "toxic.jsonl")]
    gold = {e.text: list(e.spans or ()) for e in read_examples(shared / "cntp" / "toxic.jsonl")}
    random.Random(0).shuffle(texts)
    result: dict[str, Any] = {"settings": {**vars(args), "small": str(args.small)}, "machine": machine(), "sizes": {}}
    with tempfile.TemporaryDirectory() as work:
        for size in args.sizes:
            case = _case(size, args.small, texts, args.texts, Path(work))
            found = _speeds(case, args, _SETS[size])
            found["paths"] = _differences(case, texts[: args.texts], gold if size == "small" else None)
            found |= _limit(case)
            found["forward_only"] = _forward_only(case, args.rounds)
            if size == "small":
                found["cntp_size"] = _cntp_size(case, shared, args.rounds)
            result["sizes"][size] = found
            (RESULTS / f"{args.name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            (RESULTS / f"{args.name}.md").write_text(table(result), encoding="utf-8")
    print(table(result))


def _case(size: str, small: Path, texts: list[str], n_compared: int, work: Path) -> Case:
    folder = small
    if size == "base":
        torch.manual_seed(0)
        tokenizer = Tokenizer.from_file(str(small / "tokenizer.json"))
        classifier, _ = new_classifier(EncoderConfig(max_tokens=128, scratch=BASE), tokenizer)
        folder = work / "base"
        save_classifier(classifier, tokenizer, ModelSettings(max_tokens=128), folder)
    export, int8 = work / f"{size}-fp32", work / f"{size}-int8"
    export_model(folder, export)
    export_model(folder, int8, "int8")
    settings = load_settings(folder)
    reader = TextTokenizer.load(folder, settings.fold)
    sequences = [
        [reader.cls_id, *tokens.token_ids[: settings.max_tokens - 2].tolist(), reader.sep_id]
        for tokens in reader.tokenize(texts)
    ]
    return Case(load_classifier(folder), folder, export, int8, reader, sequences[:n_compared], sequences)


def _speeds(case: Case, args: argparse.Namespace, n_sets: int) -> dict[str, Any]:
    """Every method in a process of its own: the idle threads of one library spin, and would slow the next down."""
    n_texts = {name: args.slow_texts if one_by_one else args.texts for name, one_by_one in methods_here().items()}
    rounds: dict[str, list[float]] = {name: [] for name in n_texts}
    with contextlib.ExitStack() as stack:
        ask = {name: stack.enter_context(timed_process(name, case.folder, case.export)) for name in n_texts}
        for number in range(args.rounds + 1):
            draw = random.Random(number)
            sets = [draw.sample(case.pool, args.texts) for _ in range(n_sets)]
            for name, timed in ask.items():
                if n_texts[name] == args.texts:
                    rate = n_sets * args.texts / timed(sets)
                elif number < 3:  # two timed rounds are enough for what takes minutes
                    rate = n_texts[name] / timed([sets[0][: n_texts[name]]])
                else:
                    continue
                print(f"  round {number} {name}: {rate:.2f} texts/s", file=sys.stderr, flush=True)
                if number:  # the first round warms up
                    rounds[name].append(rate)
    rates = {name: {"median": statistics.median(r), "low": min(r), "high": max(r)} for name, r in rounds.items()}
    best = max(rate["median"] for name, rate in rates.items() if name.startswith("ours"))
    return {
        "texts_per_second": rates,
        "tokens_per_text": statistics.fmean(map(len, case.pool)),
        "best_over": {name: best / rate["median"] for name, rate in rates.items()},
        "not_installed": [n for n in ("openvino", "transformers_interpret") if not importlib.util.find_spec(n)],
    }


def _differences(case: Case, texts: list[str], gold: dict[str, list[Any]] | None) -> dict[str, Any]:
    """Each path against float64 torch: scaled saliency, and the characters of the spans cut from it."""
    exact = reference(case.classifier)(case.sequences)
    wanted = _spans(case, texts, exact)
    paths: dict[str, Any] = {"float64 torch": exact}
    for backend in ("onnx", "openvino"):
        if backend == "onnx" or importlib.util.find_spec("openvino"):
            paths[backend] = detector_saliency(
                toxitrace.load(case.export, backend=backend).backend, case.tokenizer.pad_id
            )(case.sequences)
    found: dict[str, Any] = {}
    for name, weights in paths.items():
        errors = [_scaled_error(a, b) for a, b in zip(weights, exact, strict=True)]
        spans = _spans(case, texts, weights)
        agreement = score_spans(spans, [[s[:2] for s in row] for row in wanted], n_resamples=1).character_f1.value
        found[name] = {
            "saliency_error_max": max(errors),
            "saliency_error_mean": statistics.fmean(errors),
            "span_agreement_character_f1": agreement,
        }
        if gold is not None:
            scored = score_spans(spans, [gold[text] for text in texts], n_resamples=1)
            found[name]["gold_character_f1"] = scored.character_f1.value
            found[name]["gold_overlap_f1"] = scored.overlap_f1.value
            found[name]["gold_exact_f1"] = scored.exact_f1.value
    return found


def _scaled_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference over a text's words, as a share of its largest saliency."""
    return float(np.abs(found[1:-1] - wanted[1:-1]).max() / wanted[1:-1].max()) if len(wanted) > 2 else 0.0


def _spans(case: Case, texts: list[str], weights: list[np.ndarray]) -> list[list[tuple[int, int]]]:
    settings = load_settings(case.folder)
    rows = []
    for text, tokens, weight in zip(texts, case.tokenizer.tokenize(texts), weights, strict=True):
        cut = windowed(tokens, settings.max_tokens, 1)
        saliency = char_saliency(cut, [(0, TokenWeights(np.asarray(weight[1:-1], np.float64)))], separator_mask(text))
        rows.append([(span.start, span.end) for span in extract_spans(text, saliency, settings.bicse)])
    return rows


def _limit(case: Case, batch: int = 32, tokens: int = 64) -> dict[str, dict[str, Any]]:
    """Shares of the best matrix-product rate at full batches of 32 x 64 tokens: of the saliency, of the margin alone.

    Only the forward graph can be int8. Its products between activations, in the attention, stay fp32; they are needed
    and counted like the rest.
    """
    config = case.classifier.model.config
    sizes = config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.num_attention_heads
    pad_id = case.tokenizer.pad_id
    ids = np.random.default_rng(0).integers(5, 1000, (batch, tokens)).tolist()
    paths: list[tuple[str, Precision, Backend]] = [
        ("onnx", "fp32", toxitrace.load(case.export, backend="onnx").backend)
    ]
    if importlib.util.find_spec("openvino") and has_fast_bf16("cpu"):
        paths.append(("openvino", "bf16", toxitrace.load(case.export, backend="openvino").backend))
    both, forward = (batch * needed_operations(*sizes, tokens, gradient=gradient) for gradient in (True, False))
    found: dict[str, dict[str, Any]] = {
        "limit": {"operations_per_batch": both},
        "forward_limit": {"operations_per_batch": forward},
    }
    for name, precision, backend in paths:
        found["limit"][name] = share_of_limit(partial(saliencies, backend, ids, pad_id), both, precision)
    for name, precision, backend in [*paths, ("onnx int8", "int8", toxitrace.load(case.int8, backend="onnx").backend)]:
        found["forward_limit"][name] = share_of_limit(partial(margins, backend, ids, pad_id), forward, precision)
    return found


def _forward_only(case: Case, rounds: int) -> dict[str, Any]:
    """The first stage: fp32, int8 and OpenVINO, with the change in margin."""
    backends = {
        "onnxruntime fp32": toxitrace.load(case.export, backend="onnx").backend,
        "onnxruntime int8": toxitrace.load(case.int8, backend="onnx").backend,
    }
    if importlib.util.find_spec("openvino"):
        backends["OpenVINO"] = toxitrace.load(case.export, backend="openvino").backend
    exact = margins(backends["onnxruntime fp32"], case.sequences, case.tokenizer.pad_id)
    seconds: dict[str, list[float]] = {name: [] for name in backends}
    found: dict[str, Any] = {}
    for _ in range(rounds):
        for name, backend in backends.items():
            started = time.perf_counter()
            values = margins(backend, case.sequences, case.tokenizer.pad_id)
            seconds[name].append(time.perf_counter() - started)
            found[name] = {"margin_error_max": float(np.abs(values - exact).max()), "margin_spread": float(exact.std())}
    for name, times in seconds.items():
        found[name]["texts_per_second"] = len(case.sequences) / statistics.median(times)
    return found


def _cntp_size(case: Case, shared: Path, rounds: int) -> dict[str, Any]:
    """2,533 different texts of CNTP's lengths from strings to spans: its third, and perturbations that keep lengths."""
    texts = [e.text for e in read_examples(shared / "cntp" / "toxic.jsonl")]
    for kind in ("vsim", "homo", "trad", "shuffle"):
        path = shared / "cntp" / f"perturbed_{kind}.jsonl"
        texts += [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    texts = list(dict.fromkeys(texts))
    random.Random(0).shuffle(texts)
    texts = texts[:CNTP_SIZE]
    found: dict[str, Any] = {"texts": len(texts), "paper_seconds": PAPER_SECONDS}
    for backend in ("onnx", "openvino"):
        if backend == "openvino" and not importlib.util.find_spec("openvino"):
            continue
        detector = toxitrace.load(case.export, backend=backend)
        detector.predict(texts[:64])
        for forced in (False, True):
            seconds = []
            for _ in range(rounds):
                started = time.perf_counter()
                rows = detector.predict(texts, force_spans=forced)
                seconds.append(time.perf_counter() - started)
            found[f"{backend}, {'spans for all' if forced else 'spans for toxic'}"] = {
                "seconds": statistics.median(seconds),
                "toxic_share": statistics.fmean(row.toxic for row in rows),
                "ratio_to_paper": PAPER_SECONDS / statistics.median(seconds),
            }
    return found


if __name__ == "__main__":
    main()
