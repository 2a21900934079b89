"""Who writes the queries that find most toxic posts: rules, spans, an LLM auditor, a small model after SFT and DPO.

    python benchmarks/explore_queries.py                     # all of it; goes on where it was stopped
    python benchmarks/explore_queries.py --work runs/smoke --output /tmp/smoke.json --items-limit 4000 \
        --annotated-limit 120 --seeds 1 --pretrain-texts 2000 --layers 2 --hidden 64 --extra-items 50 --other-load

The platform is that of shared/data; its index, BM25. Flagged items are its toxic ones; queries of an LLM auditor exist
for 1,760 of them, which are parted by cluster of near-duplicates into train, dev and test for each seed. The small
model is pre-trained on posts of the platform (texts alone), fine-tuned on D of train, and then preferred by search
feedback on queries that it samples for train and for other flagged items (none in a cluster of dev or test). Every
system's figures are written as soon as they are there; choose settings by those of dev, and report those of test.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import disable_progress_bars
from explore_queries_table import write_result
from machine import RESULTS, require_shared

import toxitrace
from toxitrace.config import Paths
from toxitrace.data import iter_json_rows, read_queries, read_spans, rowfile
from toxitrace.data.rowlog import RowLog
from toxitrace.explore import (
    GenerateSettings,
    Generator,
    GroundSettings,
    KeepRule,
    SeedItem,
    SpanQueries,
    TfidfKeywords,
    WholeText,
    judge_queries,
    near_duplicate_clusters,
    split_by_cluster,
    write_rows,
)
from toxitrace.explore.config import FitSettings, PretrainLMSettings, SmallLMSize
from toxitrace.explore.tasks import train
from toxitrace.explore.tasks.compare import Yardstick, judge_set
from toxitrace.explore.tasks.intervals import rate_rows
from toxitrace.explore.tasks.items import limited
from toxitrace.explore.tasks.judging import Judging
from toxitrace.explore.tasks.make_preferences import PairSettings, make_preferences
from toxitrace.explore.tasks.train_config import DPOTask, PretrainTask, SFTTask
from toxitrace.search import BM25Engine, Item
from toxitrace.training.quiet import quiet_libraries

Queries = dict[str, list[str]]
SHARES = {"train": 0.7, "dev": 0.1, "test": 0.2}


@dataclass(frozen=True)
class Platform:
    """The posts, their index, and the flagged ones with clusters and an auditor's queries."""

    texts: dict[str, str]
    engine: BM25Engine
    judging: Judging
    flagged: dict[str, SeedItem]
    clusters: dict[str, int]
    auditor: Queries


def main() -> None:
    args = _arguments()
    quiet_libraries()
    disable_progress_bars()
    args.work.mkdir(parents=True, exist_ok=True)
    args.store = args.store or args.work
    args.store.mkdir(parents=True, exist_ok=True)
    free = ("work", "store", "output", "other_load", "seeds")
    settings = {name: value for name, value in vars(args).items() if name not in free}
    log = RowLog(args.work / "systems.jsonl", settings, key=("system", "seed"), resume=True)
    stages = RowLog(args.work / "stages.jsonl", settings, key=("stage", "seed"), resume=True)
    with log, stages:
        platform = _timed(stages, "read and index", 0, lambda: _platform(args))
        for seed in args.seeds:
            _one_seed(args, seed, platform, log, stages)
            write_result(args, log.rows.values(), stages.rows.values(), _about(platform))
    print(args.output.with_suffix(".md").read_text(encoding="utf-8"))


def _one_seed(args: argparse.Namespace, seed: int, platform: Platform, log: RowLog, stages: RowLog) -> None:
    """All systems on one split, each written as soon as it is measured."""
    annotated = sorted(platform.auditor)
    dealt = split_by_cluster(annotated, [platform.clusters[id] for id in annotated], SHARES, seed)
    parts = {part: [platform.flagged[id] for id in ids] for part, ids in dealt.items()}
    yard = Yardstick(
        clusters=platform.clusters,
        known=frozenset(annotated),
        n_toxic=platform.judging.n_toxic,
        base_rate=platform.judging.base_rate,
        budget=args.budget,
        seed=seed,
    )

    def tried(system: str, write: Callable[[Sequence[SeedItem]], list[list[str]]]) -> None:
        if (system, seed) in log.rows:
            return
        row: dict[str, Any] = {"system": system, "seed": seed}
        for part in ("dev", "test"):
            started = time.perf_counter()
            written = dict(zip(dealt[part], write(parts[part]), strict=True))
            wrote = time.perf_counter()
            found = judge_set(written, dealt[part], platform.engine, platform.judging, yard)
            row[f"{part}_seconds"] = {"write": wrote - started, "judge": time.perf_counter() - wrote}
            row[part] = found.to_dict()
            clusters = sorted(found.by_cluster)
            row[f"{part}_rows"] = dict(
                zip(map(str, clusters), rate_rows(found.by_cluster, clusters).tolist(), strict=True)
            )
        log.add([row])
        test = row["test"]["metrics"]
        _say(f"seed {seed}, {system}: tihr > 0.5 {test['qhr_at']['0.5']:.3f}, mean tihr {test['mean_tihr']:.3f}")

    for system, rule in _rules(platform).items():
        tried(system, rule.queries)
    base = _pretrained(args, platform, stages)
    sft = _sft(args, seed, platform, parts["train"], base, stages)
    _try_model("SFT", sft, tried)
    extra = _others(args, seed, platform, [*dealt["dev"], *dealt["test"]])
    start = sft
    for number in range(1, args.rounds + 1):
        start = _dpo(args, seed, number, platform, parts["train"], extra, start, stages)
        _try_model("SFT + DPO" if number == args.rounds else f"SFT + DPO, round {number}", start, tried)


def _rules(platform: Platform) -> dict[str, Generator]:
    return {
        "whole text": WholeText(),
        "TF-IDF keywords, apart": TfidfKeywords(),
        "TF-IDF keywords, joined": TfidfKeywords(joined=True),
        "gold spans": SpanQueries(),
        "gold spans, joined": _Joined(SpanQueries()),
        "detector spans": _DetectorSpans(),
        "detector spans, joined": _Joined(_DetectorSpans()),
        "LLM auditor, all": _Noted(platform.auditor),
        "LLM auditor, first": _Noted({id: queries[:1] for id, queries in platform.auditor.items()}),
    }


class _DetectorSpans:
    """Spans as the shipped detector marks them, whatever its verdict: the items were flagged."""

    def queries(self, items: Sequence[SeedItem]) -> list[list[str]]:
        found = toxitrace.load().predict([item.text for item in items], force_spans=True)
        marked = [
            replace(item, spans=tuple((span.start, span.end) for span in one.spans))
            for item, one in zip(items, found, strict=True)
        ]
        return SpanQueries().queries(marked)


class _Joined:
    """All queries of an item as one."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def queries(self, items: Sequence[SeedItem]) -> list[list[str]]:
        return [[" ".join(found)] if found else [] for found in self._generator.queries(items)]


class _Noted:
    """Queries that are there already."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def queries(self, items: Sequence[SeedItem]) -> list[list[str]]:
        return [self._queries[item.id] for item in items]


def _try_model(name: str, folder: Path, tried: Callable[..., None]) -> None:
    """Free and grounded queries of one model; it is loaded only if they are not there yet."""
    for system, ground in ((name, None), (f"{name}, grounded", GroundSettings())):
        tried(system, lambda items, ground=ground: _model(folder, GenerateSettings(ground=ground)).queries(items))


def _model(folder: Path, settings: GenerateSettings) -> Any:
    from toxitrace.explore.generate import LocalGenerator
    from toxitrace.explore.language_model import load_language_model

    return LocalGenerator(load_language_model(folder), settings)


def _pretrained(args: argparse.Namespace, platform: Platform, stages: RowLog) -> Path:
    """One base for all seeds: it sees texts, no labels and no queries."""
    texts = args.store / f"posts-{_sample_name(args)}.jsonl"
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
    return _timed(stages, "pre-train", 0, lambda: train.pretrain(task, _say))


def _sft(
    args: argparse.Namespace, seed: int, platform: Platform, items: list[SeedItem], base: Path, stages: RowLog
) -> Path:
    """SFT on D: the auditor's queries that find another toxic post, or are short."""
    rule = KeepRule()
    pairs = [(item.id, query) for item in items for query in platform.auditor[item.id]]
    found = judge_queries(platform.engine, [q for _, q in pairs], platform.judging, exclude=[(id,) for id, _ in pairs])
    kept: Queries = {item.id: [] for item in items}
    for (id, query), one in zip(pairs, found, strict=True):
        if rule.keeps(query, one.hit):
            kept[id].append(query)
    files = _write_part(args.work / f"train-{seed}", items, kept)
    folder = args.work / f"sft-{seed}"
    task = SFTTask(
        items=Paths([files[0]]),
        queries=files[1],
        model=str(base),
        output=str(folder),
        adapters=False,
        fit=FitSettings(lr=args.sft_lr, epochs=args.sft_epochs, seed=seed, checkpoint_steps=200),
        resume=folder.exists(),
    )
    return _timed(stages, "SFT", seed, lambda: train.sft(task, _say))


def _dpo(
    args: argparse.Namespace,
    seed: int,
    number: int,
    platform: Platform,
    items: list[SeedItem],
    extra: list[SeedItem],
    start: Path,
    stages: RowLog,
) -> Path:
    """Sample queries, let the search engine judge them, and learn from the pairs."""
    file = args.work / f"preferences-{seed}-{number}.jsonl"
    if not file.exists():
        ground = GroundSettings() if args.sample_grounded else None
        settings = GenerateSettings(mode="sample", n_replies=args.samples, seed=seed * 100 + number, ground=ground)
        both = [*items, *extra]
        written = _timed(stages, f"sample, round {number}", seed, lambda: _model(start, settings).queries(both))
        sampled = {item.id: queries for item, queries in zip(both, written, strict=True)}
        pairs, report = make_preferences(
            both,
            {item.id: platform.auditor[item.id] for item in items},
            sampled,
            platform.engine,
            platform.judging,
            PairSettings(seed=seed, max_pairs=args.max_pairs, min_gap=args.min_gap),
        )
        _say(f"seed {seed}, round {number}: {report}")
        write_rows(pairs, file)
    folder = args.work / f"dpo-{seed}-{number}"
    task = DPOTask(
        preferences=Paths([str(file)]),
        model=str(start),
        output=str(folder),
        beta=args.beta,
        sft_weight=args.sft_weight,
        adapters=False,
        fit=FitSettings(lr=args.dpo_lr, epochs=args.dpo_epochs, seed=seed, checkpoint_steps=200),
        resume=folder.exists(),
    )
    return _timed(stages, f"DPO, round {number}", seed, lambda: train.dpo(task, _say))


def _others(args: argparse.Namespace, seed: int, platform: Platform, held_out: Sequence[str]) -> list[SeedItem]:
    """Flagged items without an auditor's queries, far from those that are held out."""
    closed = {platform.clusters[id] for id in held_out}
    free = [
        item
        for id, item in sorted(platform.flagged.items())
        if id not in platform.auditor and platform.clusters[id] not in closed
    ]
    return limited(free, args.extra_items, seed) if args.extra_items else []


def _platform(args: argparse.Namespace) -> Platform:
    shared = require_shared()
    rows = [row for _, row in iter_json_rows(shared / "platform" / "items.jsonl.xz")]
    notes, texts = read_spans(shared / "cold" / "spans.jsonl"), {row["id"]: row["text"] for row in rows}
    flagged = {
        row["id"]: SeedItem(row["id"], row["text"], notes[row["id"]].spans)
        for row in rows
        if row["toxic"] and notes[row["id"]].spans
    }
    auditor = {
        id: list(own.queries)
        for id, own in read_queries(shared / "cold" / "queries.jsonl").items()
        if id in flagged and own.queries
    }
    if args.annotated_limit is not None:
        auditor = dict(random.Random(0).sample(sorted(auditor.items()), min(args.annotated_limit, len(auditor))))
    if args.items_limit is not None:  # the toxic share stays as it is, as far as the annotated items allow
        chosen = set(random.Random(0).sample(sorted(texts), args.items_limit)) | auditor.keys()
        rows = [row for row in rows if row["id"] in chosen]
        texts = {row["id"]: row["text"] for row in rows}
        flagged = {id: item for id, item in flagged.items() if id in texts}
    ids = sorted(flagged)
    clusters = near_duplicate_clusters([flagged[id].text for id in ids])
    folder = args.store / f"index-{_sample_name(args)}"
    if (folder / "index.json").exists():
        engine = BM25Engine.load(folder)
    else:
        engine = BM25Engine()
        engine.index(Item(id, text) for id, text in texts.items())
        engine.save(folder)
    judging = Judging({row["id"]: bool(row["toxic"]) for row in rows}, texts)
    return Platform(texts, engine, judging, flagged, dict(zip(ids, clusters, strict=True)), auditor)


def _sample_name(args: argparse.Namespace) -> str:
    return f"{args.items_limit or 'all'}-{args.annotated_limit or 'all'}"


def _about(platform: Platform) -> dict[str, Any]:
    return {
        "n_posts": len(platform.texts),
        "n_toxic": platform.judging.n_toxic,
        "base_rate": platform.judging.base_rate,
        "n_flagged": len(platform.flagged),
        "n_clusters": len(set(platform.clusters.values())),
        "n_annotated": len(platform.auditor),
    }


def _write_part(folder: Path, items: Sequence[SeedItem], queries: Queries) -> tuple[str, str]:
    folder.mkdir(exist_ok=True)
    rows = ({"id": item.id, "text": item.text, "spans": item.spans} for item in items)
    rowfile.write_rows(folder / "items.jsonl", rows)
    notes = ({"id": id, "queries": found} for id, found in queries.items())
    rowfile.write_rows(folder / "queries.jsonl", notes)
    return str(folder / "items.jsonl"), str(folder / "queries.jsonl")


def _timed(stages: RowLog, stage: str, seed: int, do: Callable[[], Any]) -> Any:
    """Run a stage and note how long it took the first time."""
    started, worked = time.perf_counter(), time.process_time()
    result = do()
    if (stage, seed) not in stages.rows:
        seconds = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - worked}
        stages.add([{"stage": stage, "seed": seed, **seconds}])
    return result


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(flag: str, default: Any, help: str, type: Callable[[str], Any] = int) -> None:
        parser.add_argument(flag, default=default, type=type, help=f"{help} (default: {default})")

    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    add("--items-limit", None, "posts of the platform; the annotated ones are always among them")
    add("--annotated-limit", None, "flagged items with an auditor's queries")
    add("--extra-items", 4000, "other flagged items that queries are sampled for; 0: none")
    add("--budget", 1000, "posts that reviewers can read")
    add("--layers", 4, "of the small model")
    add("--hidden", 256, "its width")
    add("--pretrain-texts", 100_000, "posts it is pre-trained on")
    add("--pretrain-epochs", 1.0, "passes over them", float)
    add("--sft-epochs", 6.0, "passes over D and D_cat", float)
    add("--sft-lr", 5e-4, "peak learning rate", float)
    add("--samples", 8, "replies that are sampled for an item")
    parser.add_argument("--sample-grounded", action="store_true", help="sample the item's own words alone")
    add("--max-pairs", 2, "pairs of an item")
    add("--min-gap", 0.1, "least difference of tihr in a pair", float)
    add("--rounds", 1, "of sampling and DPO")
    add("--dpo-epochs", 1.0, "passes over the pairs", float)
    add("--dpo-lr", 5e-5, "peak learning rate", float)
    add("--beta", 0.1, "more holds closer to the SFT model", float)
    add("--sft-weight", 0.0, "of the SFT term in DPO", float)
    parser.add_argument("--work", type=Path, default=Path("runs/explore-queries"), help="models and rows")
    parser.add_argument("--store", type=Path, help="index and pre-trained base, for runs of other settings as well")
    parser.add_argument("--output", type=Path, default=RESULTS / "explore_queries.json")
    parser.add_argument("--other-load", action="store_true", help="say in the result that another job was running")
    return parser.parse_args()


if __name__ == "__main__":
    main()
