"""The open questions of QExplorer, an experiment each: what changes when one thing about SFT + DPO changes.

    python benchmarks/explore_questions.py                   # all of it; goes on where it was stopped
    python benchmarks/explore_questions.py --questions beta --seeds 1      # one question, one seed
    python benchmarks/explore_questions.py --work runs/seed-1 --store runs/explore-queries --seeds 1 \
        --beside runs/seed-2 runs/seed-3         # a seed a folder, run side by side; this one puts them together
    python benchmarks/explore_questions.py --work runs/smoke --output /tmp/smoke.json --items-limit 4000 \
        --annotated-limit 120 --seeds 1 --pretrain-texts 2000 --layers 2 --hidden 64 --extra-items 50 \
        --transfer-extra 10 --other-load

It goes on in the folder of `explore_queries.py` with the same settings: platform, splits, models and sampled queries
of that script are taken as they are, and made first where they are missing. Then a question after the other,
the cheap ones first: recall beside precision; imitation against search feedback; the threshold of D_comp; the weight
of DPO; beam search for candidates; transfer between COLD's topics. Choose by dev, report test.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from explore_queries import (
    Models,
    apart_from_reading,
    by_seed,
    deal,
    flags,
    logs_beside,
    measure,
    one_seed,
    open_logs,
    prepare,
    shared_settings,
)
from explore_queries_platform import Platform, Queries, Split, about, read_platform
from explore_queries_stages import (
    candidates,
    dpo,
    load_generator,
    pair_settings,
    preferences_file,
    say,
    sft,
    timed,
    write_preferences,
)
from explore_questions_recall import Recall
from explore_questions_table import OWN_BEST, REFERENCE, write_result
from explore_questions_transfer import MIXED
from machine import require_shared

from toxitrace.data import iter_json_rows
from toxitrace.data.rowlog import RowLog
from toxitrace.explore import Demonstration, SeedItem, SFTSettings
from toxitrace.explore.config import FitSettings
from toxitrace.explore.tasks.items import limited
from toxitrace.explore.tasks.make_preferences import PairSettings
from toxitrace.explore.training_rows import read_preferences

THRESHOLDS = (0.05, 0.1)


@dataclass(frozen=True)
class Run:
    """A seed with its reference models, from which every variant differs in one thing."""

    args: argparse.Namespace
    platform: Platform
    topics: dict[str, str]
    split: Split
    models: Models
    reference: dict[str, Any]
    log: RowLog
    stages: RowLog

    @property
    def seed(self) -> int:
        return self.split.seed

    @property
    def both(self) -> list[SeedItem]:
        """The items that candidates are written for."""
        return [*self.split.parts["train"], *self.split.extra]

    @property
    def auditor(self) -> Queries:
        """The auditor's queries for the training part."""
        return {item.id: self.platform.auditor[item.id] for item in self.split.parts["train"]}

    def sampled(self) -> Queries:
        """The candidates of the reference."""
        return candidates(self.args, self.seed, "1", "round 1", self.both, self.models.sft, self.stages)

    def measure(self, question: str, system: str, model: Path, **facts: Any) -> None:
        """Free, greedy queries of a model."""
        facts = {"question": question, **facts}
        measure(self.log, system, self.split, self.platform, lambda items: load_generator(model).queries(items), facts)

    def prefer(
        self,
        question: str,
        system: str,
        tag: str,
        sampled: Queries,
        settings: PairSettings,
        annotated: Queries | None = None,
    ) -> None:
        """DPO with pairs made in another way."""
        pairs = preferences_file(self.args, self.seed, tag)
        if not pairs.exists():
            write_preferences(pairs, self.both, annotated or self.auditor, sampled, self.platform, settings)
        model = dpo(self.args, self.seed, tag, tag, pairs, self.models.sft, self.stages)
        self.measure(question, system, model, n_pairs=_n_rows(pairs), n_candidates=sum(map(len, sampled.values())))


def main() -> None:
    args = _arguments()
    prepare(args)
    others, their_stages = _rows_beside(args)
    logs, own = open_logs(args), _open_own(args)
    with logs[0], logs[1], own[0], own[1]:
        platform = timed(own[1], "read and index", 0, lambda: read_platform(args))
        recall = Recall(platform, args.budgets)
        topics = {row["id"]: row["topic"] for _, row in iter_json_rows(require_shared() / "cold" / "train.jsonl")}
        references: list[dict[str, Any]] = []
        for seed in args.seeds:
            split = deal(args, seed, platform)
            models = one_seed(args, split, platform, *logs)
            references += _references(args, seed, logs[0])
            run = Run(args, platform, topics, split, models, references[-1], *own)
            for question in args.questions:
                say(f"seed {seed}, question: {question}")
                QUESTIONS[question](run)
                rows = [*others, *references, *(row for row in own[0].rows.values() if row["seed"] in args.seeds)]
                seconds = by_seed([*their_stages, *own[1].rows.values()])
                write_result(args, by_seed(rows), seconds, about(platform), recall)
    print(args.output.with_suffix(".md").read_text(encoding="utf-8"))


def _open_own(args: argparse.Namespace) -> tuple[RowLog, RowLog]:
    """Figures of the variants and seconds of their stages so far."""
    settings = shared_settings(args) | {"transfer_extra": args.transfer_extra}
    return (
        RowLog(args.work / "questions.jsonl", settings, key=("system", "seed"), resume=True),
        RowLog(args.work / "questions-stages.jsonl", settings, key=("stage", "seed"), resume=True),
    )


def _rows_beside(args: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows and stages of other seeds, which ran with these settings in folders of their own (`--beside`)."""
    rows: list[dict[str, Any]] = []
    stages: list[dict[str, Any]] = []
    for theirs, log, _ in logs_beside(args):
        own = _open_own(theirs)
        with own[0], own[1]:
            for seed in sorted({row["seed"] for row in own[0].rows.values()}):
                rows += _references(theirs, seed, log)
        rows += own[0].rows.values()
        stages += apart_from_reading(own[1].rows.values())
    return rows, stages


def _references(args: argparse.Namespace, seed: int, log: RowLog) -> list[dict[str, Any]]:
    """The systems of `explore_queries.py`; the last one is the reference."""
    if any("test_queries" not in row for row in log.rows.values()):
        raise SystemExit(f"{log.path} does not hold the queries themselves: move it away, its stages stay")
    pairs = preferences_file(args, seed, 1)
    facts = {"n_pairs": _n_rows(pairs), "n_candidates": _n_candidates(args.work / f"candidates-{seed}-1.jsonl")}
    rows = [row for row in log.rows.values() if row["seed"] == seed and row["system"] != REFERENCE]
    return [*rows, log.rows[REFERENCE, seed] | facts]


def _recall(run: Run) -> None:
    """Nothing to train: the systems that are there, read at several budgets."""


def _imitation(run: Run) -> None:
    """The auditor's queries for as many steps more, and the model's own best ones, against pairs."""
    steps = json.loads((run.models.dpo / "explore.json").read_text(encoding="utf-8"))["n_steps"]
    fit = FitSettings(lr=run.args.dpo_lr, max_steps=steps, seed=run.seed, checkpoint_steps=200)
    train = run.split.parts["train"]
    longer = sft(run.args, run.seed, run.platform, train, run.models.sft, run.stages, "longer", fit)
    run.measure("imitation", "SFT for as many steps more", longer)
    for lr in run.args.own_lrs:
        run.measure("imitation", f"{OWN_BEST}, lr {lr:g}", _own_best(run, lr))


def _own_best(run: Run, lr: float, pairs_of: str = "1") -> Path:
    """SFT on the replies that DPO is told to prefer; the rejected ones play no part."""
    beside = "" if pairs_of == "1" else f"{pairs_of}, "
    stage = f"SFT, own best, {beside}lr {lr:g}"
    return timed(run.stages, stage, run.seed, lambda: _train_own_best(run, lr, pairs_of))


def _train_own_best(run: Run, lr: float, pairs_of: str) -> Path:
    from toxitrace.explore.language_model import load_language_model
    from toxitrace.explore.sft import train_sft

    folder = Path(run.args.work / f"own-{run.seed}-{'' if pairs_of == '1' else f'{pairs_of}-'}{lr:g}")
    if not (folder / "explore.json").is_file():
        pairs = read_preferences(preferences_file(run.args, run.seed, pairs_of))
        rows = [Demonstration(pair.prompt, pair.chosen, pair.item_ids, pair.style) for pair in pairs]
        settings = SFTSettings(lr=lr, epochs=run.args.dpo_epochs, seed=run.seed, checkpoint_steps=200, lora=None)
        report = train_sft(rows, load_language_model(run.models.sft), folder, settings, resume=True, on_log=_told)
        say(f"{folder}: trained on {report.n_rows} replies, {report.n_steps} steps")
    return folder


def _threshold(run: Run) -> None:
    """0.1 instead of 0.05 for the auditor's queries; and either of them instead of the gap for all candidates."""
    usual = pair_settings(run.args, run.seed)
    sampled = run.sampled()
    changed = replace(usual, threshold=THRESHOLDS[1])
    run.prefer("threshold", f"D_comp at {THRESHOLDS[1]:g}", f"threshold-{THRESHOLDS[1]:g}", sampled, changed)
    everything = {id: [*run.auditor.get(id, ()), *queries] for id, queries in sampled.items()}
    for threshold in THRESHOLDS:
        parted = replace(usual, threshold=threshold, group_size=1, max_queries=1)
        run.prefer("threshold", f"all parted at {threshold:g}", f"parted-{threshold:g}", {}, parted, everything)


def _beta(run: Run) -> None:
    """The same pairs, the model held to its reference less or more."""
    pairs = preferences_file(run.args, run.seed, 1)
    for beta in run.args.betas:
        if beta != run.args.beta:
            tag = f"beta-{beta:g}"
            model = dpo(run.args, run.seed, tag, tag, pairs, run.models.sft, run.stages, beta)
            run.measure("beta", f"beta {beta:g}", model, n_pairs=_n_rows(pairs))


def _beam(run: Run) -> None:
    """As many replies of an item, the most probable ones instead of drawn ones."""
    found = candidates(run.args, run.seed, "beam", "beam", run.both, run.models.sft, run.stages, "beam")
    run.prefer("beam", "candidates by beam search", "beam", found, pair_settings(run.args, run.seed))
    for lr in run.args.own_lrs:
        run.measure("beam", f"{OWN_BEST} of beams, lr {lr:g}", _own_best(run, lr, "beam"))


def _transfer(run: Run) -> None:
    """SFT and DPO on one topic alone, on as many items of all topics, and the reference: each on every topic."""
    train, extra = run.split.parts["train"], run.split.extra
    pools = {
        topic: [_of_topic(run, items, topic) for items in (train, extra)] for topic in sorted(set(run.topics.values()))
    }
    n_train, n_extra = (min(len(pool[place]) for pool in pools.values()) for place in (0, 1))
    n_extra = min(n_extra, run.args.transfer_extra)
    for trained, pool in (pools | {MIXED: [train, extra]}).items():
        items = limited(pool[0], n_train, run.seed)
        others = limited(pool[1], n_extra, run.seed) if n_extra else []
        model = _small(run, trained, items, others)
        for tested in pools:
            write = load_generator(model).queries
            _measure_topic(run, trained, tested, write, n_trained=n_train, n_extra=n_extra)
    written = run.reference["dev_queries"] | run.reference["test_queries"]
    for tested in pools:
        _measure_topic(run, REFERENCE, tested, lambda items: [written[item.id] for item in items])


def _small(run: Run, trained: str, items: list[SeedItem], others: list[SeedItem]) -> Path:
    """The reference's stages with these items."""
    tag = f"on-{trained.replace(' ', '-')}"
    start = sft(run.args, run.seed, run.platform, items, run.models.base, run.stages, tag)
    pairs = preferences_file(run.args, run.seed, tag)
    if not pairs.exists():
        both = [*items, *others]
        sampled = candidates(run.args, run.seed, tag, tag, both, start, run.stages)
        auditor = {item.id: run.platform.auditor[item.id] for item in items}
        write_preferences(pairs, both, auditor, sampled, run.platform, pair_settings(run.args, run.seed))
    return dpo(run.args, run.seed, tag, tag, pairs, start, run.stages)


def _measure_topic(
    run: Run, trained: str, tested: str, write: Callable[[Sequence[SeedItem]], list[list[str]]], **facts: Any
) -> None:
    parts = {part: _of_topic(run, items, tested) for part, items in run.split.parts.items()}
    facts = {"question": "transfer", "trained": trained, "tested": tested, **facts}
    measure(run.log, f"{trained} -> {tested}", replace(run.split, parts=parts), run.platform, write, facts)


def _of_topic(run: Run, items: Sequence[SeedItem], topic: str) -> list[SeedItem]:
    return [item for item in items if run.topics[item.id] == topic]


# the cheap ones first: a run that is cut short has answered some
QUESTIONS: dict[str, Callable[[Run], None]] = {
    "recall": _recall,
    "imitation": _imitation,
    "threshold": _threshold,
    "beta": _beta,
    "beam": _beam,
    "transfer": _transfer,
}


def _n_rows(file: Path) -> int:
    return sum(1 for _ in iter_json_rows(file))


def _n_candidates(file: Path) -> int | None:
    """Distinct queries; None where the candidates were not kept."""
    return sum(len(row["queries"]) for _, row in iter_json_rows(file)) if file.exists() else None


def _told(log: Any) -> None:
    if "loss" in log:
        say(f"step {log['step']:.0f}/{log['n_steps']:.0f}: loss {log['loss']:.4f}")


def _arguments() -> argparse.Namespace:
    parser = flags(__doc__, "explore_questions")
    parser.add_argument("--questions", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS))
    parser.add_argument("--betas", nargs="+", type=float, default=[0.02, 0.5], help="beside that of the reference")
    parser.add_argument("--own-lrs", nargs="+", type=float, default=[5e-5, 5e-4], help="of SFT on own best queries")
    parser.add_argument("--budgets", nargs="+", type=int, default=[100, 300, 1000, 3000, 10_000], help="of recall")
    parser.add_argument("--transfer-extra", type=int, default=800, help="other flagged items of one topic's training")
    args = parser.parse_args()
    if args.rounds != 1:
        parser.error(f"--rounds is {args.rounds}; expected 1, which the variants are compared with: leave it out")
    return args


if __name__ == "__main__":
    main()
