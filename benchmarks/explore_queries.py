"""Who writes the queries that find most toxic posts: rules, spans, an LLM auditor, a small model after SFT and DPO.

    python benchmarks/explore_queries.py                     # all of it; goes on where it was stopped
    python benchmarks/explore_queries.py --work runs/smoke --output /tmp/smoke.json --items-limit 4000 \
        --annotated-limit 120 --seeds 1 --pretrain-texts 2000 --layers 2 --hidden 64 --extra-items 50 --other-load

The platform is that of shared/data; its index, BM25. Flagged items are its toxic ones; queries of an LLM auditor exist
for 1,760 of them, which are parted by cluster of near-duplicates into train, dev and test for each seed. The small
model is pre-trained on posts of the platform (texts alone), fine-tuned on D of train, and then preferred by search
feedback on queries that it samples for train and for other flagged items (none in a cluster of dev or test). Every
system's figures are written as soon as they are there; choose settings by those of dev, and report those of test.
`explore_questions.py` goes on in the same folder. Seeds may run side by side, each in a folder of its own, with
`--store` for what they share; `--beside` takes the rows of the others into the result.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from explore_queries_platform import Platform, Queries, Split, about, deal, read_platform
from explore_queries_stages import (
    candidates,
    dpo,
    load_generator,
    pair_settings,
    preferences_file,
    pretrained,
    say,
    sft,
    timed,
    write_preferences,
)
from explore_queries_table import write_result
from machine import RESULTS

import toxitrace
from toxitrace.cli.quiet import quiet_training
from toxitrace.data.rowlog import RowLog
from toxitrace.detector.loading import default_model, fingerprint
from toxitrace.explore import (
    GenerateSettings,
    Generator,
    GroundSettings,
    SeedItem,
    SpanQueries,
    TfidfKeywords,
    WholeText,
)
from toxitrace.explore.tasks.compare import judge_set
from toxitrace.explore.tasks.intervals import rate_rows

# what does not shape a row
FREE = ("work", "store", "output", "other_load", "seeds", "beside")


@dataclass(frozen=True)
class Models:
    """Folders of the models of a seed."""

    base: Path
    sft: Path
    dpo: Path


def main() -> None:
    args = flags(__doc__, "explore_queries").parse_args()
    prepare(args)
    others = logs_beside(args)
    log, stages = open_logs(args)
    with log, stages:
        platform = timed(stages, "read and index", 0, lambda: read_platform(args))
        for seed in args.seeds:
            one_seed(args, deal(args, seed, platform), platform, log, stages)
            rows, seconds = [*log.rows.values()], [*stages.rows.values()]
            for _, their_log, their_stages in others:
                rows += their_log.rows.values()
                seconds += apart_from_reading(their_stages.rows.values())
            write_result(args, by_seed(rows), by_seed(seconds), about(platform))
    print(args.output.with_suffix(".md").read_text(encoding="utf-8"))


def prepare(args: argparse.Namespace) -> None:
    """Quiet libraries, and the folders there."""
    quiet_training()
    args.work.mkdir(parents=True, exist_ok=True)
    args.store = args.store or args.work
    args.store.mkdir(parents=True, exist_ok=True)


def open_logs(args: argparse.Namespace) -> tuple[RowLog, RowLog]:
    """Figures of the systems and seconds of the stages so far, made with these very settings."""
    settings = shared_settings(args)
    return (
        RowLog(args.work / "systems.jsonl", settings, key=("system", "seed"), resume=True),
        RowLog(args.work / "stages.jsonl", settings, key=("stage", "seed"), resume=True),
    )


def logs_beside(args: argparse.Namespace) -> list[tuple[argparse.Namespace, RowLog, RowLog]]:
    """What ran in other folders with the same settings, for other seeds (`--beside`): flags, figures, stages."""
    found = []
    seen = {*args.seeds}
    for folder in args.beside:
        theirs = argparse.Namespace(**vars(args) | {"work": folder})
        if not (folder / "systems.jsonl").is_file():
            raise SystemExit(f"{folder} has no systems.jsonl; expected the --work of another run: run it first")
        log, stages = open_logs(theirs)
        with log, stages:
            seeds = {row["seed"] for row in log.rows.values()}
        if twice := seen & seeds:
            raise SystemExit(f"seeds {sorted(twice)} are in {folder} and elsewhere: leave one of the two out")
        if any(row.get("detector", _detector()) != _detector() for row in log.rows.values()):
            raise SystemExit(f"{folder} has spans of another detector: run it again with --work {folder}")
        seen |= seeds
        found.append((theirs, log, stages))
    return found


def by_seed(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """In the order of their seeds."""
    return sorted(rows, key=lambda row: int(row["seed"]))


def apart_from_reading(stages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Stages of seeds: reading the platform has seed 0, and every folder does it."""
    return [stage for stage in stages if stage["seed"]]


def shared_settings(args: argparse.Namespace) -> dict[str, Any]:
    """What shapes the systems here, without the flags that another script adds."""
    names = vars(flags("", "").parse_args([])).keys() - set(FREE)
    return {name: value for name, value in vars(args).items() if name in names}


def measure(
    log: RowLog,
    system: str,
    split: Split,
    platform: Platform,
    write: Callable[[Sequence[SeedItem]], list[list[str]]],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Have a system write its queries for dev and test, and log what they find, unless it is there with these facts."""
    row: dict[str, Any] = {"system": system, "seed": split.seed, **(facts or {})}
    if row.items() <= log.rows.get((system, split.seed), {}).items():
        return
    for part in ("dev", "test"):
        items = split.parts[part]
        ids = [item.id for item in items]
        started = time.perf_counter()
        written = dict(zip(ids, write(items), strict=True))
        wrote = time.perf_counter()
        found = judge_set(written, ids, platform.engine, platform.judging, split.yard)
        row[f"{part}_seconds"] = {"write": wrote - started, "judge": time.perf_counter() - wrote}
        row[f"{part}_queries"] = written
        row[part] = found.to_dict()
        clusters = sorted(found.by_cluster)
        row[f"{part}_rows"] = dict(zip(map(str, clusters), rate_rows(found.by_cluster, clusters).tolist(), strict=True))
    log.add([row])
    test = row["test"]["metrics"]
    say(f"seed {split.seed}, {system}: tihr > 0.5 {test['qhr_at']['0.5']:.3f}, mean tihr {test['mean_tihr']:.3f}")


def one_seed(args: argparse.Namespace, split: Split, platform: Platform, log: RowLog, stages: RowLog) -> Models:
    """All systems on one split, each written as soon as it is measured."""

    def tried(system: str, write: Callable[[Sequence[SeedItem]], list[list[str]]], **facts: Any) -> None:
        measure(log, system, split, platform, write, facts)

    for system, rule in _rules(platform).items():
        facts = {"detector": _detector()} if system.startswith("detector") else {}
        tried(system, rule.queries, **facts)
    base = pretrained(args, platform, stages)
    model = imitator = sft(args, split.seed, platform, split.parts["train"], base, stages)
    _try_model("SFT", imitator, tried)
    for number in range(1, args.rounds + 1):
        both = [*split.parts["train"], *split.extra]
        pairs = preferences_file(args, split.seed, number)
        if not pairs.exists():
            sampled = candidates(args, split.seed, str(number), f"round {number}", both, model, stages)
            auditor = {item.id: platform.auditor[item.id] for item in split.parts["train"]}
            write_preferences(pairs, both, auditor, sampled, platform, pair_settings(args, split.seed))
        model = dpo(args, split.seed, str(number), f"round {number}", pairs, model, stages)
        _try_model("SFT + DPO" if number == args.rounds else f"SFT + DPO, round {number}", model, tried)
    return Models(base, imitator, model)


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


@cache
def _detector() -> str:
    """Which model the shipped detector is."""
    folder = default_model()
    return "none" if folder is None else fingerprint(folder)


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
        tried(
            system, lambda items, ground=ground: load_generator(folder, GenerateSettings(ground=ground)).queries(items)
        )


def flags(description: str | None, result: str) -> argparse.ArgumentParser:
    """The flags; ``result`` names the files in results/."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)

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
    parser.add_argument(
        "--beside", nargs="+", type=Path, default=[], help="--work of runs of other seeds that the result takes in"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / f"{result}.json")
    parser.add_argument("--other-load", action="store_true", help="say in the result that another job was running")
    return parser


if __name__ == "__main__":
    main()
