"""Dense retrieval with our small encoder on Chinese questions (CMRC 2018, split dev), against BM25 and with it.

    python benchmarks/expand_cmrc.py --encoder runs/pretrain-small
    python benchmarks/expand_cmrc.py --expansions expansions-train.jsonl expansions-dev.jsonl    # and the mean
    python benchmarks/expand_cmrc.py --smoke --output /tmp/expand_cmrc.json                      # a minute, no figures

Systems: BM25; the pre-trained encoder as it is (zero-shot); the same trained on split train (InfoNCE, one BM25 hard
negative, batches without duplicates); reciprocal rank fusion of BM25 and the trained one. With expansions (files of
`toxitrace expand candidates` for both splits, or {"id", "expansion"} rows) a second retriever is trained on the mean of
query and expansion, beside BM25 on query and expansion. Every system is tested per query against BM25 (paired
randomisation test); several seeds of training give as many rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import RESULTS, machine, require_shared

from toxitrace.data.rowfile import write_json
from toxitrace.evaluation.ranking import MEASURES, RankingScores, score_ranking
from toxitrace.expand.beir import RetrievalSet, read_retrieval_set
from toxitrace.expand.candidates import read_candidates
from toxitrace.expand.mining import mine_negatives
from toxitrace.expand.report import Comparison, compare_all
from toxitrace.expand.represent import QueryMode
from toxitrace.expand.retriever import open_retriever
from toxitrace.expand.retriever_settings import RetrieverSettings
from toxitrace.expand.systems import Run, bm25_run, dense_run, expansions_for, hybrid_run
from toxitrace.expand.train_retriever import RetrieverTraining, train_retriever, training_rows
from toxitrace.training.quiet import quiet_libraries

DEPTH = 1000


def main() -> None:
    args = _arguments()
    quiet_libraries()
    folder = require_shared() / "retrieval" / "cmrc"
    train, dev = (read_retrieval_set(folder, split) for split in ("train", "dev"))
    written = [expansions_for(data, read_candidates(path), path)[0] for data, path in _paired(args, train, dev)]
    started = time.monotonic()
    runs: dict[str, Run] = {"BM25": bm25_run(dev, DEPTH)}
    zero_shot = RetrieverSettings(max_tokens=args.max_tokens)
    runs["dense zero-shot"] = dense_run(dev, open_retriever(args.encoder, zero_shot), DEPTH)
    modes: list[QueryMode] = ["query", "mean"] if written else ["query"]
    for mode in modes:
        for seed in args.seeds:
            dense = _trained(args, train, dev, mode, seed, written)
            name = f"dense trained, {mode}, seed {seed}"
            runs[name] = dense
            runs[f"hybrid: BM25 + {name}"] = hybrid_run([runs["BM25"], dense], DEPTH)
    if written:
        runs["BM25, query + expansion"] = bm25_run(dev, DEPTH, written[1])
        without_training = dataclasses.replace(zero_shot, query="mean")
        runs["dense zero-shot, mean"] = dense_run(
            dev, open_retriever(args.encoder, without_training), DEPTH, written[1]
        )
    scores = {name: score_ranking(dev.qrels, run) for name, run in runs.items()}
    tests = compare_all(scores, {"BM25": scores["BM25"]})
    result = {
        "part": "cmrc/dev",
        "settings": vars(args),
        "seconds": round(time.monotonic() - started, 1),
        "systems": {name: one.to_dict() for name, one in scores.items()},
        "comparisons": [test.to_dict() for test in tests],
        "machine": machine(),
    }
    output = Path(args.output)
    write_json(output, result)
    table = _table(dev, scores, tests, args)
    output.with_suffix(".md").write_text(table, encoding="utf-8")
    print(table)


def _trained(
    args: argparse.Namespace, train: RetrievalSet, dev: RetrievalSet, mode: QueryMode, seed: int, written: list[Any]
) -> Run:
    """Train on the training split and search the other."""
    training = RetrieverTraining(
        query=mode, max_tokens=args.max_tokens, lr=args.lr, epochs=args.epochs, batch_size=args.batch_size, seed=seed
    )
    ranked = bm25_run(train, 50)
    rankings = {id: list(scores.items()) for id, scores in ranked.items()}
    negatives = mine_negatives(rankings, train.qrels, train.documents)
    expansions = written[0] if written else None
    rows = training_rows(train.queries, train.documents, train.qrels, negatives, mode, expansions)
    with tempfile.TemporaryDirectory() as folder:
        retriever = train_retriever(args.encoder, rows[: args.rows], Path(folder) / "retriever", training, say=print)
        return dense_run(dev, retriever, DEPTH, written[1] if written else None)


def _paired(args: argparse.Namespace, *splits: RetrievalSet) -> list[tuple[RetrievalSet, str]]:
    return list(zip(splits, args.expansions, strict=True)) if args.expansions else []


def _table(
    dev: RetrievalSet, scores: dict[str, RankingScores], tests: tuple[Comparison, ...], args: argparse.Namespace
) -> str:
    found = {(test.system, test.test.measure): test.test for test in tests}
    lines = [
        f"CMRC 2018 in BEIR's layout, split dev: {len(dev.queries)} questions, {len(dev.documents)} passages (those of "
        f"both splits). Encoder `{args.encoder}`, texts cut to {args.max_tokens} tokens. Difference of nDCG@10 to BM25 "
        "with its 95 % bootstrap interval, p of the paired randomisation test (10,000 draws)."
        + (" **Smoke run: no figures.**" if args.smoke else ""),
        "",
        f"| system | {' | '.join(MEASURES)} | difference to BM25 | p | better / worse |",
        "|---|" + "---|" * (len(MEASURES) + 3),
    ]
    for name, one in scores.items():
        cells = [f"{100 * one.mean(measure):.1f}" for measure in MEASURES]
        test = found.get((name, "ndcg@10"))
        if test is None:
            cells += ["", "", ""]
        else:
            gap = test.difference
            cells.append(f"{100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})")
            cells += [f"{test.p_value:.4f}", f"{test.n_better} / {test.n_worse}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="runs/pretrain-small", help="folder of the pre-trained encoder")
    parser.add_argument("--expansions", nargs=2, metavar=("TRAIN", "DEV"), help="expansions of both splits")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of training")
    parser.add_argument("--epochs", type=float, default=5.0)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--rows", type=int, help="train on the first rows alone")
    parser.add_argument("--smoke", action="store_true", help="16 rows, one epoch, 32 tokens: whether it runs")
    parser.add_argument("--output", default=str(RESULTS / "expand_cmrc.json"), help="JSON; a table goes beside it")
    args = parser.parse_args()
    if args.smoke:
        args.seeds, args.epochs, args.max_tokens, args.rows, args.batch_size = [1], 1.0, 32, 16, 8
    return args


if __name__ == "__main__":
    main()
