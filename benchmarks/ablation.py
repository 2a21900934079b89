"""What each part of ToxiTrace adds: plain, BiCSE for top-k, GCLoss, ARCL, all; three seeds.

    python benchmarks/ablation.py --encoder runs/pretrain-small

Sized for two CPU cores: a random subset of COLD's training part per seed and a small encoder; the arguments are
recorded with the result. Every variant of a seed sees the same texts, soft labels and batch order. Span parameters
are tuned across: on dev_gold for the CNTP third, on the CNTP third for dev_gold, so that no figure is reported on
the data it was tuned on. Each run keeps the epoch with the best dev_expert macro-F1, so the verdicts on dev_expert
flatter a little, all variants alike. Finished runs are kept in --work and not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import RESULTS, machine, require_shared

from toxitrace.assessment import Measurement, measure
from toxitrace.config import DataConfig, EncoderConfig, LossConfig, OptimConfig, ScheduleConfig, TrainConfig
from toxitrace.data import Example, attach_spans, read_examples, read_spans
from toxitrace.data.load import load_labelled
from toxitrace.detector.loading import load
from toxitrace.evaluation import (
    auroc,
    confusion_matrix,
    macro_f1,
    recall_at_false_alarm,
    score_spans,
    tune_bicse,
    tune_topk,
)
from toxitrace.text import separator_mask
from toxitrace.training.quiet import quiet_libraries
from toxitrace.training.train import train_one

VARIANTS = {
    "plain": LossConfig(grad_weight=0.0, contrast_weight=0.0),
    "gcloss": LossConfig(contrast_weight=0.0),
    "arcl": LossConfig(grad_weight=0.0),
    "full": LossConfig(),
}
# row of the table -> (trained variant, how spans are cut)
ROWS = {
    "plain, top-k": ("plain", "topk"),
    "plain, BiCSE": ("plain", "bicse"),
    "+ GCLoss": ("gcloss", "bicse"),
    "+ ARCL": ("arcl", "bicse"),
    "full (GCLoss + ARCL)": ("full", "bicse"),
    "full, top-k": ("full", "topk"),
}
MEASURES = {
    "cold_dev/macro_f1": "COLD dev F1",
    "dev_expert/macro_f1": "dev_expert F1",
    "dev_expert/auroc": "dev_expert AUROC",
    "cntp/recall_at_10": "CNTP recall @10 % FA",
    "cntp/character_f1": "CNTP char F1",
    "cntp/iou": "CNTP IoU",
    "cntp/overlap_f1": "CNTP overlap F1",
    "cntp/character_f1_end_to_end": "CNTP char F1, end to end",
    "dev_gold/character_f1": "dev_gold char F1",
}


def main() -> None:
    args = _arguments()
    quiet_libraries()
    shared = require_shared()
    parts = development_parts(shared)
    begin_work(args)
    runs: dict[str, dict[int, dict[str, float]]] = {}
    for seed in args.seeds:
        for variant, loss in VARIANTS.items():
            folder = args.work / f"{variant}-{seed}"
            runs.setdefault(variant, {})[seed] = kept(folder, _run, _config(args, shared, loss), seed, folder, parts)
            print(f"{variant} seed {seed}: {runs[variant][seed]['seconds']} s", file=sys.stderr, flush=True)
    _write(args, runs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", help="folder that `toxitrace pretrain` wrote; none: from scratch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--limit", type=int, default=6000, help="training texts per run")
    parser.add_argument("--warmup-epochs", type=int, default=2)
    parser.add_argument("--joint-epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--name", default="ablation", help="results/NAME.json and NAME.md")
    return parser.parse_args()


def _config(args: argparse.Namespace, shared: Path, loss: LossConfig) -> TrainConfig:
    cold = shared / "cold"
    return TrainConfig(
        data=DataConfig(
            train=[str(cold / "train.jsonl")],
            dev=[str(cold / "dev_expert.jsonl")],
            spans=[str(cold / "spans.jsonl")],
            rationales=[str(cold / "rationales.jsonl")],
            limit=args.limit,
        ),
        encoder=EncoderConfig(name=args.encoder, max_tokens=128),
        loss=loss,
        optim=OptimConfig(lr=args.lr),
        schedule=ScheduleConfig(
            warmup_epochs=args.warmup_epochs, joint_epochs=args.joint_epochs, checkpoint_minutes=60
        ),
        tensorboard=False,
    )


def _run(config: TrainConfig, seed: int, folder: Path, parts: Mapping[str, list[Example]]) -> dict[str, Any]:
    return score(train_one(config, load_labelled(config.data, seed), folder, seed), parts)


def begin_work(args: argparse.Namespace) -> None:
    """Make the folder of finished runs; stop where it holds runs with other settings."""
    args.work.mkdir(parents=True, exist_ok=True)
    settings = {key: value for key, value in _json_ready(args).items() if key not in ("seeds", "work", "name")}
    path = args.work / "settings.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise SystemExit(f"{args.work} holds runs with other settings ({path}); name another folder with --work")
    path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def kept(stage: Path, make: Callable[..., dict[str, Any]], *inputs: Any) -> dict[str, Any]:
    """What ``make`` finds and the seconds it took; from ``STAGE.json`` if an earlier sitting has done it."""
    path = stage.with_name(f"{stage.name}.json")
    if not path.exists():
        started = time.monotonic()
        found = make(*inputs)
        found["seconds"] = round(time.monotonic() - started, 1)
        path.write_text(json.dumps(found, indent=2), encoding="utf-8")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def development_parts(shared: Path) -> dict[str, list[Example]]:
    """Development parts; dev_gold's texts are COLD dev's, joined by id; empty gold becomes None, to spare gradients."""
    dev = read_examples(shared / "cold" / "dev.jsonl")
    gold = read_spans(shared / "cold" / "dev_gold.jsonl")
    cntp = read_examples(shared / "cntp" / "toxic.jsonl") + read_examples(shared / "cntp" / "clean.jsonl")
    dev_gold = attach_spans([replace(e, label=None) for e in dev if e.id in gold], gold)
    return {
        "cold_dev": dev,
        "dev_expert": read_examples(shared / "cold" / "dev_expert.jsonl"),
        "dev_gold": [replace(example, spans=example.spans or None) for example in dev_gold],
        "cntp": [replace(example, spans=example.spans or None) for example in cntp],
    }


def score(folder: Path, parts: Mapping[str, list[Example]]) -> dict[str, float]:
    """All figures of one model, for both ways to cut spans; verdicts at probability 0.5; cold_dev is optional."""
    detector = load(folder, backend="torch")
    found = {name: measure(detector, examples) for name, examples in parts.items()}
    scores: dict[str, float] = {}
    for name in [name for name in ("cold_dev", "dev_expert") if name in parts]:
        labels = [example.label for example in parts[name]]
        scores[f"{name}/macro_f1"] = float(macro_f1(confusion_matrix(labels, (found[name].margins > 0).astype(int))))
        scores[f"{name}/auroc"] = auroc(found[name].margins, labels)
    toxic = [example.label == 1 for example in parts["cntp"]]
    margins = found["cntp"].margins
    scores["cntp/recall_at_10"] = recall_at_false_alarm(margins[toxic], margins[[not t for t in toxic]], 0.10)
    for name, other in (("cntp", "dev_gold"), ("dev_gold", "cntp")):
        gold_rows = [i for i, example in enumerate(parts[name]) if example.spans]
        gold = [list(parts[name][i].spans or ()) for i in gold_rows]
        params, _ = tune_bicse(*_tuning_data(found[other]))
        ratio, _ = tune_topk(*_tuning_data(found[other]))
        for cut, spans in (("bicse", found[name].extract(params)), ("topk", found[name].extract_topk(ratio))):
            forced = score_spans([spans[i] for i in gold_rows], gold, n_resamples=1)
            flagged = [spans[i] if found[name].margins[i] > 0 else [] for i in gold_rows]
            for measure_name in ("character_f1", "iou", "overlap_f1", "exact_f1"):
                scores[f"{cut}:{name}/{measure_name}"] = getattr(forced, measure_name).value
            scores[f"{cut}:{name}/character_f1_end_to_end"] = score_spans(
                flagged, gold, n_resamples=1
            ).character_f1.value
    return scores


def _tuning_data(measurement: Measurement) -> tuple[list[Any], list[Any], list[Any]]:
    rows = [i for i, example in enumerate(measurement.examples) if example.spans]
    return (
        [measurement.saliencies[i] for i in rows],
        [separator_mask(measurement.examples[i].text) for i in rows],
        [list(measurement.examples[i].spans or ()) for i in rows],
    )


def _write(args: argparse.Namespace, runs: dict[str, dict[int, dict[str, float]]]) -> None:
    table = {
        row: {
            key: spread([run[key] if key in run else run[f"{cut}:{key}"] for run in runs[variant].values()])
            for key in MEASURES
        }
        for row, (variant, cut) in ROWS.items()
    }
    lines = [
        f"Mean ± standard deviation over seeds {args.seeds} (one seed: its value); at most {args.limit} COLD training "
        "texts per run; "
        "development parts; spans forced on gold-toxic texts unless said otherwise, parameters tuned across parts "
        "(dev_gold for CNTP, CNTP for dev_gold); epochs chosen on dev_expert.",
        "",
        *table_lines(MEASURES.values(), {row: map(in_points, cells.values()) for row, cells in table.items()}),
    ]
    write_result(args, {"table": table, "runs": runs}, lines)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean and standard deviation over seeds, with the values themselves."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "standard_deviation": deviation, "values": list(values)}


def in_points(cell: Mapping[str, Any], scale: float = 100) -> str:
    """A spread of shares as ``81.0 ± 1.2``; a single seed has none."""
    if len(cell["values"]) < 2:
        return f"{scale * cell['mean']:.1f}"
    return f"{scale * cell['mean']:.1f} ± {scale * cell['standard_deviation']:.1f}"


def table_lines(columns: Iterable[str], rows: Mapping[str, Iterable[str]]) -> list[str]:
    """A Markdown table; the first column has the rows' names."""
    names = list(columns)
    head = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    return head + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()]


def write_result(args: argparse.Namespace, result: Mapping[str, Any], lines: Iterable[str]) -> None:
    """Write ``results/NAME.json`` with settings and machine, and ``results/NAME.md``; show the latter."""
    RESULTS.mkdir(exist_ok=True)
    content = {"settings": _json_ready(args), "machine": machine(), **result}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (RESULTS / f"{args.name}.json").write_text(text + "\n", encoding="utf-8")
    table = "\n".join(lines) + "\n"
    (RESULTS / f"{args.name}.md").write_text(table, encoding="utf-8")
    print(table)


def _json_ready(args: argparse.Namespace) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}


if __name__ == "__main__":
    main()
