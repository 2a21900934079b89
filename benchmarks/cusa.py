"""What the language model's spans give over their substitutes: one warm-up, three sources of spans, three seeds.

    python benchmarks/cusa.py --encoder runs/pretrain-small

Per seed one warm-up on cross-entropy (a random subset of COLD's training part). Its saliency gives the raw clues
("w/o CuSA"), the offline refiner's spans are made of those, the language model's are `cold/spans.jsonl`. Every joint
training starts from this warm-up's weights and has its texts, labels, batch order and number of steps: nothing but
the spans of GCLoss differs. A fourth one goes on with cross-entropy alone, so that each source's gain shows. ARCL is
off, and so are the soft labels of doubtful rows: they come from the language model (no evidence found in a text
labelled toxic, or found in another). The last row turns them on, to show what else the model gives.

BiCSE's parameters for the clues are tuned on dev_gold (character F1), so that the clues are no straw man; those for
the figures across, as in `ablation.py`. No epoch is chosen: each model is its last one, so dev_expert was not looked
at before. Finished stages are kept in --work and not repeated.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from ablation import VARIANTS as LOSSES
from ablation import begin_work, development_parts, kept, score
from cusa_table import CE, LLM, LLM_SOFT, OFFLINE, RAW, write_tables
from machine import require_shared

from toxitrace.annotate import compare, find_clues, mine_lexicon, refine
from toxitrace.assessment import measure, tune
from toxitrace.config import DataConfig, EncoderConfig, LossConfig, OptimConfig, Paths, ScheduleConfig, TrainConfig
from toxitrace.data import Example, attach_spans, read_spans
from toxitrace.data.load import load_labelled
from toxitrace.detector.loading import load
from toxitrace.settings import load_settings, save_settings
from toxitrace.training.quiet import quiet_libraries
from toxitrace.training.train import train_one


class Variant(NamedTuple):
    """A joint training: the source of its spans, its losses, and whether doubtful rows get soft labels."""

    source: str | None
    loss: LossConfig
    soften: bool = False


VARIANTS = {
    CE: Variant(None, LOSSES["plain"]),
    RAW: Variant("raw", LOSSES["gcloss"]),
    OFFLINE: Variant("offline", LOSSES["gcloss"]),
    LLM: Variant("llm", LOSSES["gcloss"]),
    LLM_SOFT: Variant("llm", LOSSES["gcloss"], soften=True),
}
SOURCES = {RAW: "raw", OFFLINE: "offline", LLM: "llm"}


def main() -> None:
    args = _arguments()
    quiet_libraries()
    shared = require_shared()
    parts = {name: part for name, part in development_parts(shared).items() if name != "cold_dev"}
    begin_work(args)
    spans: dict[int, dict[str, Any]] = {}
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    for seed in args.seeds:
        warmup = args.work / f"warmup-{seed}"
        _say(seed, "warm-up", kept(warmup, _warm_up, args, shared, seed, warmup))
        spans[seed] = kept(args.work / f"spans-{seed}", _make_spans, args, shared, seed, warmup, parts["dev_gold"])
        _say(seed, "spans", spans[seed])
        for name, variant in VARIANTS.items():
            folder = args.work / f"{variant.source or 'plain'}{'-soft' if variant.soften else ''}-{seed}"
            runs.setdefault(name, {})[seed] = kept(folder, _join, args, shared, seed, variant, folder, parts)
            _say(seed, name, runs[name][seed])
    write_tables(args, spans, runs)


def _say(seed: int, stage: str, found: Mapping[str, Any]) -> None:
    shown = "".join(
        f", {found[f'{part}_seconds']} s {part}" for part in ("train", "score") if f"{part}_seconds" in found
    )
    print(f"seed {seed}, {stage}: {found['seconds']} s{shown}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="none", help="folder that `toxitrace pretrain` wrote; none: from scratch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--limit", type=int, default=4000, help="training texts per run")
    parser.add_argument("--warmup-epochs", type=int, default=2)
    parser.add_argument("--joint-epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--work", type=Path, default=Path("runs/cusa"))
    parser.add_argument("--name", default="cusa", help="results/NAME.json and NAME.md")
    return parser.parse_args()


def _source(args: argparse.Namespace, shared: Path, source: str, seed: int) -> Path:
    return shared / "cold" / "spans.jsonl" if source == "llm" else args.work / f"{source}-{seed}.jsonl"


def _data(args: argparse.Namespace, shared: Path) -> DataConfig:
    train = Paths([str(shared / "cold" / "train.jsonl")])
    return DataConfig(train=train, limit=args.limit, soften_doubtful=False)


def _train(args: argparse.Namespace, config: TrainConfig, folder: Path, seed: int) -> None:
    """What all trainings share; the checkpoints are of no further use."""
    config = replace(config, optim=OptimConfig(lr=args.lr), tensorboard=False)
    train_one(config, load_labelled(config.data, seed), folder, seed)
    shutil.rmtree(folder / "logs")


def _warm_up(args: argparse.Namespace, shared: Path, seed: int, folder: Path) -> dict[str, Any]:
    config = TrainConfig(
        data=_data(args, shared),
        encoder=EncoderConfig(name=None if args.encoder == "none" else args.encoder, max_tokens=128),
        loss=LOSSES["plain"],
        schedule=ScheduleConfig(warmup_epochs=args.warmup_epochs, joint_epochs=0, checkpoint_minutes=60),
    )
    _train(args, config, folder, seed)
    return {}


def _join(
    args: argparse.Namespace,
    shared: Path,
    seed: int,
    variant: Variant,
    folder: Path,
    parts: Mapping[str, list[Example]],
) -> dict[str, Any]:
    """Go on from the warm-up's encoder and head, as `toxitrace annotate loop` does, and score the result."""
    data = replace(_data(args, shared), soften_doubtful=variant.soften)
    if variant.source:
        data = replace(data, spans=Paths([str(_source(args, shared, variant.source, seed))]))
    config = TrainConfig(
        data=data,
        encoder=EncoderConfig(name=str(args.work / f"warmup-{seed}"), max_tokens=128),
        loss=variant.loss,
        schedule=ScheduleConfig(warmup_epochs=0, joint_epochs=args.joint_epochs, checkpoint_minutes=60),
    )
    started = time.monotonic()
    _train(args, config, folder, seed)
    trained = time.monotonic()
    scores = score(folder, parts)
    return scores | {
        "rows": load_settings(folder).notes["rows"],
        "train_seconds": round(trained - started, 1),
        "score_seconds": round(time.monotonic() - trained, 1),
    }


def _make_spans(
    args: argparse.Namespace, shared: Path, seed: int, warmup: Path, dev_gold: Sequence[Example]
) -> dict[str, Any]:
    """The warm-up's clues for every row labelled toxic, what the offline refiner makes of them, and how all compare."""
    gold = [example for example in dev_gold if example.spans]
    settings = tune(measure(load(warmup, backend="torch"), gold), load_settings(warmup), ["bicse"])
    save_settings(settings, warmup)  # as `toxitrace evaluate --tune` does
    rows = load_labelled(_data(args, shared), seed).train
    clued = list(find_clues(load(warmup, backend="torch"), rows))
    lexicon = mine_lexicon(rows)
    made = {
        "raw": {example.id: [(clue.start, clue.end) for clue in clues] for example, clues in clued},
        "offline": {example.id: refine(example.text, clues, lexicon) for example, clues in clued},
    }
    for source, found in made.items():
        lines = (json.dumps({"id": id, "spans": spans}) + "\n" for id, spans in found.items())
        _source(args, shared, source, seed).write_text("".join(lines), encoding="utf-8")
    positive = [example for example in rows if example.label == 1]
    return {
        "bicse": asdict(settings.bicse),
        "positive_rows": len(positive),
        "sources": {name: _describe(args, shared, seed, source, positive) for name, source in SOURCES.items()},
    }


def _describe(
    args: argparse.Namespace, shared: Path, seed: int, source: str, positive: Sequence[Example]
) -> dict[str, float]:
    """What a source marks in the rows labelled toxic, and its agreement with the language model on the same rows."""
    own, llm = (read_spans(_source(args, shared, name, seed)) for name in (source, "llm"))
    marked = [example.spans for example in attach_spans(positive, own) if example.spans]
    lengths = [end - start for spans in marked for start, end in spans]
    n_chars = sum(len(example.text) for example in positive)
    agreement = compare(positive, own, llm, n_resamples=1)
    return {
        "share_with_spans": len(marked) / len(positive),
        "share_of_chars": sum(lengths) / n_chars,
        "spans_per_row": len(lengths) / len(marked),
        "span_chars": statistics.fmean(lengths),
        "character_f1": agreement.character_f1.value,
        "character_f1_both": agreement.character_f1_both.value,
    }


if __name__ == "__main__":
    main()
