"""The trained stages of `explore_queries.py`: each is a file or folder that is made once, and made on if need be."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from explore_queries_platform import Platform, Queries, sample_name

from toxitrace.config import Paths
from toxitrace.data import iter_json_rows, rowfile
from toxitrace.data.rowlog import RowLog
from toxitrace.explore import GenerateSettings, GroundSettings, KeepRule, SeedItem, judge_queries, write_rows
from toxitrace.explore.config import FitSettings, PretrainLMSettings, SmallLMSize
from toxitrace.explore.tasks import train
from toxitrace.explore.tasks.make_preferences import PairSettings, make_preferences
from toxitrace.explore.tasks.train_config import DPOTask, PretrainTask, SFTTask


def load_generator(folder: Path, settings: GenerateSettings | None = None) -> Any:
    """The model of a folder as a writer of queries; greedy and free unless told otherwise."""
    from toxitrace.explore.generate import LocalGenerator
    from toxitrace.explore.language_model import load_language_model

    return LocalGenerator(load_language_model(folder), settings)


def pretrained(args: argparse.Namespace, platform: Platform, stages: RowLog) -> Path:
    """One base for all seeds: it sees texts, no labels and no queries."""
    texts = args.store / f"posts-{sample_name(args)}.jsonl"
    if not texts.exists():
        rowfile.write_rows(texts, ({"id": id, "text": text} for id, text in platform.texts.items()))
    task = PretrainTask(
        texts=Paths([str(texts)]),
        output=str(args.store / "base"),
        limit=args.pretrain_texts,
        size=SmallLMSize(layers=args.layers, hidden=args.hidden, feed_forward=3 * args.hidden),
        fit=PretrainLMSettings(epochs=args.pretrain_epochs, checkpoint_steps=500, log_steps=50),
        resume=(args.store / "base").exists(),
    )
    return timed(stages, "pre-train", 0, lambda: train.pretrain(task, say))


def sft(
    args: argparse.Namespace,
    seed: int,
    platform: Platform,
    items: list[SeedItem],
    start: Path,
    stages: RowLog,
    tag: str = "",
    fit: FitSettings | None = None,
) -> Path:
    """SFT on D: the auditor's queries that find another toxic post, or are short.

    Args:
        items: of the training part.
        start: the model to begin with.
        tag: tells a variant's folder and stage from those of the reference.
        fit: default as the flags have it.
    """
    rule = KeepRule()
    pairs = [(item.id, query) for item in items for query in platform.auditor[item.id]]
    found = judge_queries(platform.engine, [q for _, q in pairs], platform.judging, exclude=[(id,) for id, _ in pairs])
    kept: Queries = {item.id: [] for item in items}
    for (id, query), one in zip(pairs, found, strict=True):
        if rule.keeps(query, one.hit):
            kept[id].append(query)
    files = _write_part(args.work / f"train-{seed}{tag and f'-{tag}'}", items, kept)
    folder = args.work / f"sft-{seed}{tag and f'-{tag}'}"
    task = SFTTask(
        items=Paths([files[0]]),
        queries=files[1],
        model=str(start),
        output=str(folder),
        adapters=False,
        fit=fit or FitSettings(lr=args.sft_lr, epochs=args.sft_epochs, seed=seed, checkpoint_steps=200),
        resume=folder.exists(),
    )
    return timed(stages, f"SFT{tag and f', {tag}'}", seed, lambda: train.sft(task, say))


def candidates(
    args: argparse.Namespace,
    seed: int,
    tag: str,
    label: str,
    items: Sequence[SeedItem],
    start: Path,
    stages: RowLog,
    mode: Literal["sample", "beam"] = "sample",
) -> Queries:
    """What a model writes when it is to vary; kept, so that it is written once."""
    file = args.work / f"candidates-{seed}-{tag}.jsonl"
    if not file.exists():
        ground = GroundSettings() if args.sample_grounded else None
        number = int(tag) if tag.isdecimal() else 0
        settings = GenerateSettings(mode=mode, n_replies=args.samples, seed=seed * 100 + number, ground=ground)
        written = timed(stages, f"sample, {label}", seed, lambda: load_generator(start, settings).queries(items))
        rows = ({"id": item.id, "queries": queries} for item, queries in zip(items, written, strict=True))
        rowfile.write_rows(file, rows)
    return {row["id"]: row["queries"] for _, row in iter_json_rows(file)}


def preferences_file(args: argparse.Namespace, seed: int, tag: str | int) -> Path:
    """Where the pairs of a round or a variant are."""
    return Path(args.work / f"preferences-{seed}-{tag}.jsonl")


def pair_settings(args: argparse.Namespace, seed: int) -> PairSettings:
    """How the reference makes its pairs."""
    return PairSettings(seed=seed, max_pairs=args.max_pairs, min_gap=args.min_gap)


def write_preferences(
    file: Path,
    items: Sequence[SeedItem],
    annotated: Queries,
    sampled: Queries,
    platform: Platform,
    settings: PairSettings,
) -> None:
    """Let the search engine judge the auditor's and a model's own queries, and write the pairs."""
    pairs, report = make_preferences(items, annotated, sampled, platform.engine, platform.judging, settings)
    say(f"{file}: {report}")
    write_rows(pairs, file)


def dpo(
    args: argparse.Namespace,
    seed: int,
    tag: str,
    label: str,
    pairs: Path,
    start: Path,
    stages: RowLog,
    beta: float | None = None,
) -> Path:
    """Learn from the pairs; the model at the start is the reference."""
    folder = args.work / f"dpo-{seed}-{tag}"
    task = DPOTask(
        preferences=Paths([str(pairs)]),
        model=str(start),
        output=str(folder),
        beta=args.beta if beta is None else beta,
        sft_weight=args.sft_weight,
        adapters=False,
        fit=FitSettings(lr=args.dpo_lr, epochs=args.dpo_epochs, seed=seed, checkpoint_steps=200),
        resume=folder.exists(),
    )
    return timed(stages, f"DPO, {label}", seed, lambda: train.dpo(task, say))


def _write_part(folder: Path, items: Sequence[SeedItem], queries: Queries) -> tuple[str, str]:
    folder.mkdir(exist_ok=True)
    rows = ({"id": item.id, "text": item.text, "spans": item.spans} for item in items)
    rowfile.write_rows(folder / "items.jsonl", rows)
    notes = ({"id": id, "queries": found} for id, found in queries.items())
    rowfile.write_rows(folder / "queries.jsonl", notes)
    return str(folder / "items.jsonl"), str(folder / "queries.jsonl")


def timed(stages: RowLog, stage: str, seed: int, do: Callable[[], Any]) -> Any:
    """Run a stage and note how long it took the first time."""
    started, worked = time.perf_counter(), time.process_time()
    result = do()
    if (stage, seed) not in stages.rows:
        seconds = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - worked}
        stages.add([{"stage": stage, "seed": seed, **seconds}])
    return result


def say(line: str) -> None:
    """A line of progress."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
