"""Time of a training step: cross-entropy alone against cross-entropy + GCLoss, in one run on the same batches.

    python benchmarks/training_step.py

Steps of both kinds alternate batch by batch, so that whatever else the machine does hits both alike. Batches hold
32 texts of COLD's lengths; shares of texts with spans: COLD's own (about 30 %), and all of them (the worst case).
Without ../shared/data the mild sentences of tests/samples stand in and the result is not written.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import torch
from machine import RESULTS, SHARED, machine

from toxitrace.config import EncoderConfig, LossConfig, ScratchConfig
from toxitrace.data import attach_spans, read_examples, read_spans
from toxitrace.data.batches import Batch, bucketed_order, collate
from toxitrace.data.prepare import TrainingRow, prepare_rows
from toxitrace.encoder import Classifier, new_classifier
from toxitrace.encoder.char_tokenizer import build_char_tokenizer
from toxitrace.text import TextTokenizer
from toxitrace.training.objective import joint_losses
from toxitrace.training.precision import has_fast_bf16

KINDS = {
    "ce": LossConfig(grad_weight=0.0, contrast_weight=0.0),
    "ce + gcloss": LossConfig(contrast_weight=0.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=30, help="timed batches per kind")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256)
    args = parser.parse_args()
    torch.manual_seed(0)
    rows, pad_id, classifier = _model_and_rows(args.layers, args.hidden)
    result: dict[str, Any] = {"settings": vars(args), "machine": machine(), "cases": {}}
    precisions = {"fp32": False} | ({"bf16": True} if has_fast_bf16("cpu") else {})
    for share in ("cold", "all"):
        chosen = rows if share == "cold" else [row for row in rows if row.supervised]
        order = bucketed_order([len(row.input_ids) for row in chosen], 32, seed=0, epoch=0)
        batches = [collate([chosen[i] for i in batch], pad_id) for batch in order[: args.batches]]
        for precision, bf16 in precisions.items():
            result["cases"][f"{share}, {precision}"] = _compare(classifier, batches, bf16)
    print("seconds per step, median (quartiles)")
    for name, case in result["cases"].items():
        times = "   ".join(
            f"{kind}: {t['median']:.3f} ({t['low']:.3f}-{t['high']:.3f})" for kind, t in case["seconds"].items()
        )
        print(f"{name:<12} {times}   ratio {case['ratio']:.2f}   texts with spans {100 * case['share']:.0f} %")
    if SHARED.is_dir():
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "training_step.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _model_and_rows(layers: int, hidden: int) -> tuple[list[TrainingRow], int, Classifier]:
    if SHARED.is_dir():
        examples = attach_spans(read_examples(SHARED / "cold" / "train.jsonl")[:3000], read_spans("builtin:cold-spans"))
    else:
        samples = "tests/samples"
        examples = attach_spans(read_examples(f"{samples}/mild.jsonl"), read_spans(f"{samples}/mild-spans.jsonl"))
    size = ScratchConfig(layers=layers, hidden=hidden, heads=max(hidden // 64, 1), feed_forward=4 * hidden)
    raw = build_char_tokenizer((example.text for example in examples), size.vocab_size, size.min_count)
    config = EncoderConfig(scratch=size)
    classifier, raw = new_classifier(config, raw)
    tokenizer = TextTokenizer(raw, config.fold)
    rows, _ = prepare_rows(examples, tokenizer, max_tokens=config.max_tokens)
    return rows, tokenizer.pad_id, classifier


def _compare(classifier: Classifier, batches: list[Batch], bf16: bool) -> dict[str, Any]:
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=1e-5, fused=True)
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number, batch in enumerate([batches[0], *batches]):  # the first one warms up
        for kind, loss in KINDS.items():
            started = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                total = joint_losses(classifier, batch, loss, warm_up=False).total
            total.backward()
            optimizer.step()
            optimizer.zero_grad()
            if number:
                seconds[kind].append(time.perf_counter() - started)
    quartiles = {kind: statistics.quantiles(times, n=4) for kind, times in seconds.items()}
    sums = {kind: sum(times) for kind, times in seconds.items()}
    return {
        "seconds": {kind: {"low": q[0], "median": q[1], "high": q[2]} for kind, q in quartiles.items()},
        "ratio": sums["ce + gcloss"] / sums["ce"],
        "share": float(torch.cat([batch["supervised"] for batch in batches]).float().mean()),
    }


if __name__ == "__main__":
    main()
