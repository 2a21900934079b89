"""Dense retrieval with our small encoder on Chinese questions (CMRC 2018, split dev), against BM25 and with it.

    python benchmarks/expand_cmrc.py --encoder runs/pretrain-small        # goes on where it was stopped
    python benchmarks/expand_cmrc.py --expansions none                             # without the recorded expansions
    python benchmarks/expand_cmrc.py --smoke --work /tmp/w --output /tmp/expand_cmrc.json      # no figures

Two tasks on the same questions. **Passages**: find the passage, as the set has it; BM25 leaves nothing to gain there.
**Windows**: find the part of the passage that holds the answer (every passage cut at sentence ends into parts of up to
128 characters, its title before each, as DPR does; relevant are the parts of the right passage that hold the recorded
answer). Systems: BM25; the pre-trained encoder as it is (zero-shot); the same trained on split train (InfoNCE on
windows, one BM25 hard negative, batches without duplicates), several seeds; and two hybrids of BM25 and the trained
one: reciprocal rank fusion, and a weighted sum of scores whose weight is the best one on questions of split train that
the retriever was not trained on. A dense system ranks passages by their best window, and for comparison by their first
256 tokens. With recorded expansions also BM25 on query and expansion, the mean of query and expansion for both dense
systems, and a retriever trained on the mean beside one trained on the same questions alone. Every system is tested per
question against BM25 (paired randomisation test).
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from expand_cmrc_table import table_rows
from expand_cmrc_windows import best_windows, window_set
from machine import RESULTS, machine, require_shared

from toxitrace.cli.quiet import quiet_training
from toxitrace.data.rowfile import write_json
from toxitrace.evaluation.ranking import score_ranking
from toxitrace.expand.beir import RetrievalSet, read_retrieval_set
from toxitrace.expand.candidates import first_expansions, read_candidates
from toxitrace.expand.embeddings import EmbeddingCache
from toxitrace.expand.mining import mine_negatives
from toxitrace.expand.preferences import split_by_group
from toxitrace.expand.report import compare_all
from toxitrace.expand.represent import QueryMode
from toxitrace.expand.retriever import Retriever, open_retriever
from toxitrace.expand.retriever_settings import RETRIEVER_FILE, RetrieverSettings
from toxitrace.expand.systems import Run, bm25_run, dense_run, expansions_for, hybrid_run
from toxitrace.expand.train_retriever import RetrieverTraining, train_retriever, training_rows

DATA = Path(__file__).resolve().parent / "data"
WORK = Path("runs/expand-cmrc")
DEPTH = 1000
POOL = 100
"""Results of each system that a hybrid looks at."""
WEIGHTS = [round(0.05 * step, 2) for step in range(20)]
"""Of the dense scores in the weighted sum; 0 is BM25 alone."""

Kinds = dict[str, dict[str, Run]]


def say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)


def main() -> None:
    args = _arguments()
    quiet_training()
    started = time.monotonic()
    folder = require_shared() / "retrieval" / "cmrc"
    train, dev = (read_retrieval_set(folder, split) for split in ("train", "dev"))
    fit_ids, held_ids = split_by_group([(id, str(train.gold(id))) for id in train.queries], args.held_share, seed=0)
    fit, held, windows = (window_set(data, args.window_chars) for data in (*_parts(train, fit_ids, held_ids), dev))
    kinds: Kinds = {"passages": {"BM25": bm25_run(dev, DEPTH)}, "windows": {"BM25": bm25_run(windows, DEPTH)}}
    kinds["passages"]["BM25, best window"] = best_windows(kinds["windows"]["BM25"])
    written = _expansions(args, windows)
    cache = EmbeddingCache(args.work / "vectors")
    zero_shot = RetrieverSettings(max_tokens=args.max_tokens)

    def searched(name: str, retriever: Retriever, expansions: Mapping[str, str] | None = None) -> None:
        kinds["windows"][name] = dense_run(windows, retriever, DEPTH, expansions, cache)
        kinds["passages"][f"{name}, best window"] = best_windows(kinds["windows"][name])
        say(f"{name}: searched")

    encoder = open_retriever(args.encoder, zero_shot)
    trained = args.work / encoder.fingerprint  # another encoder trains its own
    searched("dense zero-shot", encoder)
    weights: dict[str, float] = {}
    for seed in args.seeds:
        name = f"dense trained, seed {seed}"
        retriever = _trained(args, trained, fit, "query", seed, None)
        searched(name, retriever)
        pairs = [bm25_run(held, DEPTH), dense_run(held, retriever, DEPTH, None, cache)]
        weights[name] = best_weight(held, *pairs)
        for runs, dense in ((kinds["windows"], name), (kinds["passages"], f"{name}, best window")):
            runs[f"hybrid by rank: BM25 + {dense}"] = hybrid_run([runs["BM25"], runs[dense]], DEPTH)
            runs[f"hybrid by weight: BM25 + {dense}"] = weighted_run(runs["BM25"], runs[dense], weights[name])
    if written:
        kinds["windows"]["BM25, query + expansion"] = bm25_run(windows, DEPTH, written[1])
        kinds["passages"]["BM25, query + expansion"] = bm25_run(dev, DEPTH, _filled(dev, written[1]))
        searched("dense zero-shot, mean", _as_mean(encoder), written[1])
        for seed in args.seeds:
            retriever = _trained(args, trained, fit, "query", seed, None)
            name = f"dense trained, seed {seed}, mean when searching"
            searched(name, _as_mean(retriever), written[1])
            # the weight of queries alone: too few questions of the held part have an expansion to choose another
            weight = weights[f"dense trained, seed {seed}"]
            for runs, dense in ((kinds["windows"], name), (kinds["passages"], f"{name}, best window")):
                runs[f"hybrid by weight: BM25 + {dense}"] = weighted_run(runs["BM25"], runs[dense], weight)
        some = _parts(fit, set(written[0]))[0]
        modes: tuple[QueryMode, ...] = ("query", "mean")
        for seed in args.few_seeds:
            for mode in modes:
                retriever = _trained(args, trained, some, mode, seed, written[0])
                searched(f"dense trained on {len(some.queries)}, {mode}, seed {seed}", retriever, written[1])
    if args.first_tokens:
        kinds["passages"] |= _by_first_tokens(args, trained, dev, cache)
    qrels = {"passages": {id: dev.qrels[id] for id in windows.queries}, "windows": windows.qrels}
    result: dict[str, Any] = {
        "part": "cmrc/dev",
        "settings": noted(args),
        "seconds": round(time.monotonic() - started, 1),
        "n_questions": {"fit": len(fit.queries), "held": len(held.queries), "dev": len(windows.queries)},
        "n_windows": len(windows.documents),
        "weights": weights,
        "kinds": {},
        "machine": machine(),
    }
    lines = _head(args, dev, windows, result)
    for kind, runs in kinds.items():
        scores = {name: score_ranking(qrels[kind], run) for name, run in runs.items()}
        tests = list(compare_all(scores, {"BM25": scores["BM25"]}))
        first = sum(value == 1 for value in scores["BM25"].per_query["mrr@10"].values())
        result["kinds"][kind] = {
            "systems": {name: one.to_dict()["means"] for name, one in scores.items()},
            "comparisons": [test.to_dict() for test in tests],
            "n_bm25_first": first,
        }
        lines += ["", f"## {kind}", "", f"BM25 puts a relevant one first for {first} of {len(windows.queries)}.", ""]
        lines += table_rows(scores, tests)
    output = Path(args.output)
    write_json(output, result)
    output.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def weighted_run(first: Run, second: Run, weight: float) -> Run:
    """(1 - weight) x first + weight x second, each scaled to [0, 1] over its best `POOL` results of a question."""
    fused: Run = {}
    for id in first.keys() | second.keys():
        scaled = [_scaled(run.get(id, {})) for run in (first, second)]
        fused[id] = {
            document: (1 - weight) * scaled[0].get(document, 0.0) + weight * scaled[1].get(document, 0.0)
            for document in scaled[0].keys() | scaled[1].keys()
        }
    return fused


def best_weight(data: RetrievalSet, first: Run, second: Run) -> float:
    """The weight of greatest nDCG@10; of equals the smallest."""
    reached = {
        weight: score_ranking(data.qrels, weighted_run(first, second, weight)).mean("ndcg@10") for weight in WEIGHTS
    }
    return max(WEIGHTS, key=lambda weight: reached[weight])


def _scaled(scores: Mapping[str, float]) -> dict[str, float]:
    best = dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:POOL])
    if not best:
        return {}
    low, high = min(best.values()), max(best.values())
    return {id: (score - low) / (high - low) if high > low else 1.0 for id, score in best.items()}


def _parts(data: RetrievalSet, *parts: Iterable[str]) -> list[RetrievalSet]:
    """The set's questions in each part."""
    found = []
    for part in map(set, parts):
        kept: dict[str, Any] = {
            name: {id: value for id, value in getattr(data, name).items() if id in part}
            for name in ("queries", "qrels", "answers")
        }
        found.append(dataclasses.replace(data, **kept))
    return found


def _expansions(args: argparse.Namespace, windows: RetrievalSet) -> list[dict[str, str]]:
    """Recorded expansions of some questions of split train, and of all of dev; or none."""
    if args.expansions == ["none"]:
        return []
    train, dev = args.expansions
    return [first_expansions(read_candidates(train)), expansions_for(windows, read_candidates(dev), dev)[0]]


def _filled(data: RetrievalSet, expansions: Mapping[str, str]) -> dict[str, str]:
    return {id: expansions.get(id, query) for id, query in data.queries.items()}


def _as_mean(retriever: Retriever) -> Retriever:
    """The same weights, queries represented by the mean."""
    settings = dataclasses.replace(retriever.settings, query="mean")
    return Retriever(retriever.model, settings, retriever.fingerprint)


def _trained(
    args: argparse.Namespace,
    retrievers: Path,
    data: RetrievalSet,
    mode: QueryMode,
    seed: int,
    expansions: Mapping[str, str] | None,
) -> Retriever:
    """A retriever of the encoder's folder of retrievers, trained if it is not there."""
    few = "" if expansions is None else "few-"
    folder = retrievers / f"{few}{mode}-{seed}"
    if (folder / RETRIEVER_FILE).is_file():
        return open_retriever(folder)
    training = RetrieverTraining(
        query=mode,
        max_tokens=args.max_tokens,
        lr=args.lr,
        epochs=args.epochs * (args.few_times if expansions else 1),
        batch_size=args.batch_size,
        seed=seed,
    )
    ranked = bm25_run(data, 50)
    rankings = {id: list(scores.items()) for id, scores in ranked.items()}
    negatives = mine_negatives(rankings, data.qrels, data.documents)
    # one row for each question, however many windows hold its answer
    first = {id: dict(list(graded.items())[:1]) for id, graded in data.qrels.items()}
    rows = training_rows(data.queries, data.documents, first, negatives, mode, expansions)[: args.rows]
    retrievers.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=retrievers, prefix=".training-") as scratch:
        train_retriever(args.encoder, rows, Path(scratch) / "retriever", training, say=say)
        (Path(scratch) / "retriever").rename(folder)
    return open_retriever(folder)


def _by_first_tokens(
    args: argparse.Namespace, retrievers: Path, dev: RetrievalSet, cache: EmbeddingCache
) -> dict[str, Run]:
    """Dense systems on passages that are cut to their first tokens, and their hybrids by rank."""
    runs: dict[str, Run] = {}
    bm25 = bm25_run(dev, DEPTH)
    names: dict[str, Path | str] = {"dense zero-shot": args.encoder}
    names |= {f"dense trained, seed {seed}": retrievers / f"query-{seed}" for seed in args.seeds}
    for name, source in names.items():
        opened = open_retriever(source, RetrieverSettings())
        opened.model.max_seq_length = args.first_tokens
        settings = dataclasses.replace(opened.settings, max_tokens=args.first_tokens)
        cutting = Retriever(opened.model, settings, opened.fingerprint)
        label = f"{name}, first {args.first_tokens} tokens"
        runs[label] = dense_run(dev, cutting, DEPTH, None, cache)
        if name != "dense zero-shot":
            runs[f"hybrid by rank: BM25 + {label}"] = hybrid_run([bm25, runs[label]], DEPTH)
        say(f"{label}: searched")
    return runs


def _head(args: argparse.Namespace, dev: RetrievalSet, windows: RetrievalSet, result: Mapping[str, Any]) -> list[str]:
    n = result["n_questions"]
    weights = ", ".join(f"{weight:g}" for weight in result["weights"].values())
    return [
        f"CMRC 2018 in BEIR's layout, split dev: {n['dev']} of {len(dev.queries)} questions (those whose recorded "
        f"answer stands in the passage), {len(dev.documents)} passages (those of both splits), "
        f"{len(windows.documents)} windows of up to {args.window_chars} characters. Encoder `{args.encoder}`; "
        f"retrievers trained on windows for {args.epochs:g} epochs of {n['fit']} questions of split train, texts cut "
        f"to {args.max_tokens} tokens, batches of {args.batch_size}. Weights of the dense scores, chosen on "
        f"{n['held']} other questions of split train: {weights}. Difference to BM25 in points of nDCG@10 with its 95 % "
        "bootstrap interval, p of the paired randomisation test (10,000 draws)."
        + (" **Smoke run: no figures.**" if args.smoke else ""),
    ]


def noted(args: argparse.Namespace) -> dict[str, Any]:
    """The settings for a result, without this machine's folders."""
    kept = {name: value for name, value in vars(args).items() if name != "output"}
    if "expansions" in kept:
        kept["expansions"] = [Path(path).name for path in kept["expansions"]]
    return {name: str(value) if isinstance(value, Path) else value for name, value in kept.items()}


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="runs/pretrain-small", help="folder of the pre-trained encoder")
    parser.add_argument(
        "--expansions",
        nargs="+",
        metavar="FILE",
        default=[str(DATA / f"cmrc-expansions-{split}.jsonl") for split in ("train", "dev")],
        help="of split train (of some questions at least) and of dev; none: without",
    )
    parser.add_argument("--work", type=Path, default=WORK, help="folder of retrievers and vectors")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of training")
    parser.add_argument("--few-seeds", type=int, nargs="*", default=[1, 2, 3], help="of the two on recorded expansions")
    parser.add_argument("--few-times", type=float, default=4.0, help="times the epochs for these, as rows are few")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=128, help="a window, most of them with their title, fits")
    parser.add_argument("--first-tokens", type=int, default=256, help="of passages, for comparison; 0: leave it out")
    parser.add_argument("--window-chars", type=int, default=128)
    parser.add_argument("--held-share", type=float, default=0.15, help="of the passages of split train, for the weight")
    parser.add_argument("--rows", type=int, help="train on the first rows alone")
    parser.add_argument("--smoke", action="store_true", help="16 rows, one epoch, 16 tokens: whether it runs")
    parser.add_argument("--output", default=str(RESULTS / "expand_cmrc.json"), help="JSON; a table goes beside it")
    args = parser.parse_args(given)
    if args.smoke:
        args.seeds, args.few_seeds, args.epochs, args.max_tokens, args.first_tokens = [1], [1], 1.0, 16, 16
        args.rows, args.batch_size = 16, 8
    if args.expansions != ["none"] and len(args.expansions) != 2:
        parser.error(f"--expansions names {len(args.expansions)} files; expected TRAIN DEV, or none")
    return args


if __name__ == "__main__":
    main()
