"""Rewards of search queries over the platform's items: BM25 in memory against Milvus Lite.

    python benchmarks/search_engines.py --queries 5000 --milvus-queries 40    # all items; 6 minutes of a quiet machine
    python benchmarks/search_engines.py --items 100000 --queries 3000 --milvus-queries 50 --other-load

Each engine indexes the same items in a process of its own and answers the same queries (k = 100, the seed excluded):
those of an LLM auditor and evidence spans, then whole texts. bm25s' own retrieval answers some of them from the same
weights. The reward is the share of toxic items among the hits (tihr).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import RESULTS, machine, require_shared

from toxitrace.data.jsonl import iter_json_rows
from toxitrace.search import BM25Engine, Hit, Item, MilvusEngine, SearchEngine, split

K = 100
Asked = dict[str, list[tuple[str, str]]]  # kind of query -> (id of the seed, query)


def read_items(n_items: int | None, seed: int) -> tuple[list[Item], set[str]]:
    """A sample of the platform and the ids of its toxic items."""
    rows = [row for _, row in iter_json_rows(require_shared() / "platform" / "items.jsonl.xz")]
    if n_items is not None and n_items < len(rows):
        rows = random.Random(seed).sample(rows, n_items)
    return [Item(row["id"], row["text"]) for row in rows], {row["id"] for row in rows if row["toxic"]}


def read_queries(n_queries: int, seed: int) -> Asked:
    """Short queries, an auditor's and evidence spans; and a tenth as many whole texts."""
    cold = require_shared() / "cold"
    texts = {row["id"]: row["text"] for _, row in iter_json_rows(cold / "train.jsonl")}
    short = [(row["id"], query) for _, row in iter_json_rows(cold / "queries.jsonl") for query in row["queries"]]
    for _, row in iter_json_rows(cold / "spans.jsonl"):
        if row["spans"]:
            short.append((row["id"], " ".join(texts[row["id"]][start:end] for start, end in row["spans"])))
    whole = [(row["id"], texts[row["id"]]) for _, row in iter_json_rows(cold / "queries.jsonl")]
    chance = random.Random(seed)
    return {
        "short": chance.sample(short, min(n_queries, len(short))),
        "whole texts": chance.sample(whole, min(max(1, n_queries // 10), len(whole))),
    }


def measure(engine: SearchEngine, items: Sequence[Item], toxic: set[str], asked: Asked) -> dict[str, Any]:
    """Index, then ask; processor seconds beside those of the clock, which another job's load would spoil."""
    started, worked = time.perf_counter(), time.process_time()
    engine.index(items)
    found: dict[str, Any] = {
        "index_seconds": time.perf_counter() - started,
        "index_cpu_seconds": time.process_time() - worked,
        "first_hits": [],
    }
    engine.search("天气")  # what an engine does before its first answer is not the queries' time
    for kind, pairs in asked.items():
        started, worked = time.perf_counter(), time.process_time()
        hits = engine.search_many([query for _, query in pairs], K, [(id,) for id, _ in pairs])
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - worked
        found[kind] = {
            "queries": len(pairs),
            "queries_per_second": len(pairs) / seconds,
            "queries_per_cpu_second": len(pairs) / cpu_seconds,
            **rewards(hits, toxic),
        }
        found["first_hits"] += [[hit.id for hit in best[:10]] for best in hits]
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def rewards(hits: Sequence[Sequence[Hit]], toxic: set[str]) -> dict[str, float]:
    """The figures of methods.md, section 2."""
    n_toxic = np.array([sum(hit.id in toxic for hit in best) for best in hits])
    tihr = n_toxic / np.array([max(1, len(best)) for best in hits])
    return {
        "hit": float((n_toxic > 0).mean()),
        "tihr_over_0.05": float((tihr > 0.05).mean()),
        "tihr_over_0.5": float((tihr > 0.5).mean()),
        "mean_tihr": float(tihr.mean()),
    }


def bm25s_alone(engine: BM25Engine, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """bm25s' own retrieval (numpy) from the engine's weights, and this engine, splitting included."""
    import bm25s

    known, lists = engine._index.words, engine._index.postings
    model: Any = bm25s.BM25()
    model.scores = {
        "data": lists.scores,
        "indices": lists.documents,
        "indptr": lists.starts,
        "num_docs": lists.n_documents,
    }
    model.nonoccurrence_array, model.vocab_dict = None, known
    model.unique_token_ids_set = set(known.values())
    started = time.process_time()
    words = [ids for _, query in pairs if (ids := [known[word] for word in split(query) if word in known])]
    model.retrieve(words, k=K, show_progress=False)
    theirs = len(words) / (time.process_time() - started)
    started = time.process_time()
    engine.search_many([query for _, query in pairs], K)
    ours = len(pairs) / (time.process_time() - started)
    return {"queries": len(words), "bm25s_per_cpu_second": theirs, "here_per_cpu_second": ours, "ratio": ours / theirs}


def part(args: argparse.Namespace) -> dict[str, Any]:
    """One engine, in this process."""
    items, toxic = read_items(args.items, args.seed)
    asked = read_queries(args.queries, args.seed)
    if args.part == "milvus":
        asked = {kind: pairs[: args.milvus_queries] for kind, pairs in asked.items()}
        with tempfile.TemporaryDirectory() as folder:
            return measure(MilvusEngine(str(Path(folder) / "lite.db")), items, toxic, asked)
    engine = BM25Engine()
    found = measure(engine, items, toxic, asked)
    found["weights_mb"] = engine.n_bytes / 2**20
    with tempfile.TemporaryDirectory() as folder:
        engine.save(folder)
        started = time.perf_counter()
        BM25Engine.load(folder)
        found["load_seconds"] = time.perf_counter() - started
    found["bm25s"] = {kind: bm25s_alone(engine, pairs[:200]) for kind, pairs in asked.items()}
    # The hits that Milvus will be held against: the same first queries of each kind.
    n_short, n = len(asked["short"]), args.milvus_queries
    first = [*found["first_hits"][:n_short][:n], *found["first_hits"][n_short:][:n]]
    return found | {"first_hits": first}


def agreement(ours: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]]) -> float:
    """Mean share of the first ten hits that both found."""
    shares = [len(set(a) & set(b)) / max(len(a), len(b)) for a, b in zip(ours, theirs, strict=True) if a or b]
    return float(np.mean(shares))


def table(found: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows = ["| engine | kind | queries | queries/s | queries per CPU second | hit > 0 | tihr > 0.5 | mean tihr |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for name in ("bm25", "milvus"):
        for kind in ("short", "whole texts"):
            run = found[name][kind]
            rows.append(
                f"| {name} | {kind} | {run['queries']:,} | {run['queries_per_second']:,.1f} "
                f"| {run['queries_per_cpu_second']:,.1f} | {run['hit']:.3f} | {run['tihr_over_0.5']:.3f} "
                f"| {run['mean_tihr']:.3f} |"
            )
    bm25, milvus = found["bm25"], found["milvus"]
    ratios = [f"{pair['ratio']:.1f} times bm25s' own retrieval ({kind})" for kind, pair in bm25["bm25s"].items()]
    load = "**Another job ran on the machine: its load is in the seconds.** " if found["other_load"] else ""
    return "\n".join(
        [
            "# Search engines (`benchmarks/search_engines.py`)",
            "",
            f"{load}{found['n_items']:,} items of the platform, k = {K}, the seed excluded.",
            "",
            *rows,
            "",
            f"BM25 here is {', '.join(ratios)}, by CPU time; {found['ratio_short']:,.0f} times Milvus Lite on short "
            f"queries. Of the first ten hits, {found['agreement_at_10']:.1%} are the same in both engines (Lite weighs "
            "words within each of its segments).",
            "",
            "At these rates the rewards of 100,000 short queries take "
            f"{100_000 / bm25['short']['queries_per_second']:,.0f} seconds here and "
            f"{100_000 / milvus['short']['queries_per_second'] / 3600:,.1f} hours with Milvus Lite.",
            "",
            f"Index: {bm25['index_seconds']:.0f} s ({bm25['index_cpu_seconds']:.0f} s CPU, most of it jieba), "
            f"{bm25['weights_mb']:.0f} MB of weights, loaded in {bm25['load_seconds']:.1f} s; Milvus Lite "
            f"{milvus['index_seconds']:.0f} s ({milvus['index_cpu_seconds']:.0f} s CPU). Peak memory of the process, "
            f"items included: {bm25['peak_mb']:,.0f} MB; Milvus Lite {milvus['peak_mb']:,.0f} MB.",
            "",
            f"{found['machine']['cores']} cores, {found['machine'].get('cpu', '?')}; seed {found['seed']}.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, help="a sample of so many; default: all")
    parser.add_argument("--queries", type=int, default=10_000, help="short ones; a tenth as many whole texts")
    parser.add_argument("--milvus-queries", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--other-load", action="store_true", help="say in the result that another job was running")
    parser.add_argument("--output", type=Path, default=RESULTS / "search_engines.json")
    parser.add_argument("--part", choices=["bm25", "milvus"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps(part(args)))
        return
    require_shared()
    found: dict[str, Any] = {"other_load": args.other_load, "seed": args.seed, "machine": machine()}
    for name in ("bm25", "milvus"):
        done = subprocess.run([sys.executable, *sys.argv, "--part", name], stdout=subprocess.PIPE, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        sys.stderr.write(f"{name}: { ({key: value for key, value in found[name].items() if key != 'first_hits'}) }\n")
    found["agreement_at_10"] = agreement(found["bm25"].pop("first_hits"), found["milvus"].pop("first_hits"))
    found["n_items"] = len(read_items(args.items, args.seed)[0])
    rates = [found[name]["short"]["queries_per_cpu_second"] for name in ("bm25", "milvus")]
    found["ratio_short"] = rates[0] / rates[1]
    args.output.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    args.output.with_suffix(".md").write_text(table(found), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
