"""Toxic posts that share no word with the seed: what dense and hybrid search find and keyword search misses.

    python benchmarks/expand_explore.py                    # goes on where it was stopped: training, vectors
    python benchmarks/expand_explore.py --others 60000 --seeds 1 2 3
    python benchmarks/expand_explore.py --smoke --output /tmp/expand_explore.json      # minutes, no figures

Flagged posts are parted by cluster of near-duplicates, the other posts of COLD at random, by the same shares: one part
is for training and search feedback, the other is the platform that is searched, with `--others` ordinary posts from
elsewhere. COLD's own share of toxic posts stays as it is, so that finding COLD's topics is not yet finding toxicity.
Seeds are flagged posts of the platform's part with an auditor's queries, one of a cluster; a seed's whole cluster is
left out of its results. Keywords: BM25 by the evidence spans, by the text, by the auditor's first query, and fused.
Dense: the pre-trained encoder as it is, and trained on (text or spans of a flagged post -> flagged post of the same
topic whose text holds nothing of its evidence) with the BM25-nearest post of the topic that is not flagged as hard
negative. Hybrid: reciprocal rank fusion. "Joint": of the auditor's queries the one with the highest joint reward
(methods.md 4), its search feedback from the training part alone. Intervals are over seeds.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from expand_explore_measures import BUDGETS, FUSED, KEYWORDS, Hits, evidence_grams, is_coded, measured
from expand_explore_table import table
from machine import RESULTS, machine, require_shared

from toxitrace.data import iter_json_rows, read_queries, read_spans
from toxitrace.data.rowfile import write_json
from toxitrace.expand.embeddings import EmbeddingCache
from toxitrace.expand.retriever import Retriever, open_retriever
from toxitrace.expand.retriever_settings import RetrieverSettings
from toxitrace.expand.rewards import joint_rewards
from toxitrace.expand.train_retriever import RetrieverTraining, TrainingRow, train_retriever
from toxitrace.explore import SeedItem, judge_queries, near_duplicate_clusters, split_by_cluster
from toxitrace.search import BM25Engine, DenseEngine, Hit, Item, fuse
from toxitrace.training.quiet import quiet_libraries

Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]

CHUNK = 2048


@dataclass(frozen=True)
class World:
    """The part to learn from and the part to search; ids of posts throughout."""

    flagged: dict[str, SeedItem]
    topics: dict[str, str]
    train: dict[str, str]
    platform: dict[str, str]
    seeds: list[SeedItem]
    clusters: dict[str, int]
    auditor: dict[str, tuple[str, ...]]

    @property
    def toxic(self) -> list[str]:
        """Flagged posts of the platform, in a fixed order."""
        return sorted(self.platform.keys() & self.flagged.keys())


def main() -> None:
    args = _arguments()
    quiet_libraries()
    started, worked = time.perf_counter(), time.process_time()
    world = _world(args)
    _say(f"{len(world.platform)} posts, {len(world.toxic)} toxic, {len(world.seeds)} seeds")
    bm25 = _index(world.platform)
    spans, texts = [" ".join(seed.evidence) for seed in world.seeds], [seed.text for seed in world.seeds]
    auditor = [world.auditor[seed.id][0] for seed in world.seeds]
    depth, hidden = 2 * max(BUDGETS), _hidden(world)
    asked = {"spans": spans, "text": texts, "auditor": auditor}
    found = {f"BM25, {name}": bm25.search_many(queries, depth, hidden) for name, queries in asked.items()}
    found = _chance(world, hidden, depth) | found
    found[FUSED] = _fused(depth, *(found[name] for name in KEYWORDS))
    _say("keyword search done")
    zero_shot = open_retriever(args.encoder, RetrieverSettings(max_tokens=args.max_tokens))
    chosen = _joint_queries(world, zero_shot)
    found["BM25, joint"] = bm25.search_many(chosen, depth, hidden)
    asked["joint"] = chosen
    retrievers: dict[str, Callable[[], Retriever]] = {"zero-shot": lambda: zero_shot}
    trained = args.work / zero_shot.fingerprint  # another encoder trains its own
    retrievers |= {f"trained, seed {seed}": partial(_trained, args, world, trained, seed) for seed in args.seeds}
    for name, opened in retrievers.items():
        retriever = opened()
        engine = _dense(world.platform, retriever, EmbeddingCache(args.work / "vectors"))
        for kind in ("spans", "text", "joint"):
            found[f"dense {name}, {kind}"] = engine.search_many(asked[kind], depth, hidden)
        nearest = found[f"dense {name}, text"]
        found[f"hybrid {name}: spans by BM25, text"] = _fused(depth, found["BM25, spans"], nearest)
        found[f"hybrid {name}: text by both"] = _fused(depth, found["BM25, text"], nearest)
        found[f"hybrid {name}: joint by both"] = _fused(depth, found["BM25, joint"], found[f"dense {name}, joint"])
        seconds = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - worked}
        result = {"platform": _about(world), "settings": _settings(args)} | seconds
        systems = measured(found, world.seeds, world.platform, world.toxic, world.topics)
        result |= {"systems": systems, "machine": machine()}
        write_json(args.output, result)
        args.output.with_suffix(".md").write_text(table(result), encoding="utf-8")
        _say(f"{name} done after {seconds['seconds']:.0f} s, {seconds['cpu_seconds']:.0f} s of the processor")
    print(table(result))


def _world(args: argparse.Namespace) -> World:
    shared = require_shared()
    notes = read_spans(shared / "cold" / "spans.jsonl")
    cold = {row["id"]: row for _, row in iter_json_rows(shared / "cold" / "train.jsonl")}
    if args.cold is not None:
        cold = {id: cold[id] for id in random.Random(0).sample(sorted(cold), args.cold)}
    flagged = {
        id: SeedItem(id, row["text"], notes[id].spans) for id, row in cold.items() if id in notes and notes[id].spans
    }
    ids = sorted(flagged)
    clusters = dict(zip(ids, near_duplicate_clusters([flagged[id].text for id in ids]), strict=True))
    shares = {"train": args.train_share, "platform": 1 - args.train_share}
    dealt = split_by_cluster(ids, [clusters[id] for id in ids], shares, 0)
    ordinary = sorted(cold.keys() - flagged.keys())
    random.Random(0).shuffle(ordinary)
    n_train = round(args.train_share * len(ordinary))
    parts = {
        "train": [*dealt["train"], *ordinary[:n_train]],
        "platform": [*dealt["platform"], *ordinary[n_train:]],
    }
    texts = {part: {id: str(cold[id]["text"]) for id in chosen} for part, chosen in parts.items()}
    texts["platform"] |= _others(args.others)
    auditor = {id: own.queries for id, own in read_queries(shared / "cold" / "queries.jsonl").items() if own.queries}
    free = [id for id in dealt["platform"] if id in auditor]
    random.Random(1).shuffle(free)
    one_each = {clusters[id]: id for id in reversed(free)}
    seeds = [flagged[id] for id in sorted(one_each.values(), key=free.index)[: args.n_seeds]]
    topics = {id: str(row["topic"]) for id, row in cold.items()}
    return World(flagged, topics, texts["train"], texts["platform"], seeds, clusters, auditor)


def _others(n: int) -> dict[str, str]:
    """The first n of the platform's posts from elsewhere, in an order of its own: a larger n adds to a smaller one."""
    if not n:
        return {}
    rows = [
        row for _, row in iter_json_rows(require_shared() / "platform" / "items.jsonl.xz") if row["source"] != "cold"
    ]
    random.Random(0).shuffle(rows)
    return {row["id"]: row["text"] for row in rows[:n]}


def _hidden(world: World) -> list[list[str]]:
    """For each seed its near-duplicates and itself: finding those is no discovery."""
    members: dict[int, list[str]] = {}
    for id, cluster in world.clusters.items():
        members.setdefault(cluster, []).append(id)
    return [members[world.clusters[seed.id]] for seed in world.seeds]


def _chance(world: World, hidden: Sequence[Sequence[str]], depth: int) -> dict[str, Hits]:
    """Posts at random, of all and of COLD alone: what knowing nothing finds, or nothing but the source."""
    posts = {
        "random posts": list(world.platform),
        "random posts of COLD": [*world.platform.keys() & world.topics.keys()],
    }
    found: dict[str, Hits] = {}
    for name, ids in posts.items():
        chance, ids = random.Random(0), sorted(ids)
        drawn = [chance.sample(ids, min(len(ids), depth + len(near))) for near in hidden]
        found[name] = [
            [Hit(id, 0.0) for id in one if id not in near][:depth] for one, near in zip(drawn, hidden, strict=True)
        ]
    return found


def _index(texts: Mapping[str, str]) -> BM25Engine:
    engine = BM25Engine()
    engine.index(Item(id, text) for id, text in texts.items())
    return engine


def _fused(depth: int, *lists: Hits) -> Hits:
    return [fuse(rankings)[:depth] for rankings in zip(*lists, strict=True)]


def _dense(texts: Mapping[str, str], retriever: Retriever, cache: EmbeddingCache) -> DenseEngine:
    """Exact dense search; vectors by chunks, each kept as soon as it is there."""
    known: dict[str, npt.NDArray[np.float32]] = {}
    ids = list(texts)
    for begin in range(0, len(ids), CHUNK):
        chunk = {id: texts[id] for id in ids[begin : begin + CHUNK]}
        known |= zip(chunk.values(), retriever.encode_documents(chunk, cache), strict=True)
        _say(f"{begin + len(chunk)} vectors")

    def encode(asked: Sequence[str]) -> npt.NDArray[np.float32]:
        new = [text for text in dict.fromkeys(asked) if text not in known]
        known.update(zip(new, retriever.encode(new), strict=True))
        return np.stack([known[text] for text in asked])

    engine = DenseEngine(encode)
    engine.index(Item(id, text) for id, text in texts.items())
    return engine


def _joint_queries(world: World, retriever: Retriever) -> list[str]:
    """For each seed the short query of the highest joint reward, searched for in the training part."""
    engine = _index(world.train)
    toxic = {id: id in world.flagged for id in world.train}
    chosen = []
    for seed in world.seeds:
        spans = " ".join(seed.evidence)
        candidates = list(dict.fromkeys(world.auditor[seed.id]))
        tihrs = [one.tihr for one in judge_queries(engine, candidates, toxic)]
        vectors = retriever.encode([*candidates, seed.text, spans])
        by_text, by_spans = vectors[:-2] @ vectors[-2], vectors[:-2] @ vectors[-1]
        chosen.append(candidates[int(np.argmax(joint_rewards(tihrs, by_text.tolist(), by_spans.tolist())))])
    return chosen


def _trained(args: argparse.Namespace, world: World, retrievers: Path, seed: int) -> Retriever:
    """A retriever of the encoder's folder of retrievers, trained if it is not there."""
    folder = retrievers / f"retriever-{seed}"
    if (folder / "retriever.json").is_file():
        return open_retriever(folder)
    training = RetrieverTraining(
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        lr=args.lr,
        epochs=args.epochs,
        batch_size=args.batch_size,
        seed=seed,
    )
    rows = _rows(world, args.rows, seed)
    return train_retriever(args.encoder, rows, folder, training, record={"rows_seed": seed}, say=_say)


def _rows(world: World, n_rows: int, seed: int) -> list[TrainingRow]:
    """Text and spans of flagged posts by turns, each with a flagged post that keywords of the spans do not find."""
    chance = random.Random(seed)
    by_topic: dict[str, list[str]] = {}
    for id in sorted(world.train.keys() & world.flagged.keys()):
        by_topic.setdefault(world.topics[id], []).append(id)
    negatives = {
        topic: _index(
            {id: text for id, text in world.train.items() if id not in world.flagged and world.topics[id] == topic}
        )
        for topic in by_topic
    }
    anchors = sorted(id for ids in by_topic.values() for id in ids)
    chance.shuffle(anchors)
    rows: list[TrainingRow] = []
    for number in range(n_rows):
        item = world.flagged[anchors[number // 2 % len(anchors)]]
        topic, grams = world.topics[item.id], evidence_grams(item.evidence)
        fitting = (id for id in chance.choices(by_topic[topic], k=20) if id != item.id)
        positive = next((id for id in fitting if is_coded(world.train[id], grams)), None)
        near = negatives[topic].search(item.text, 5)
        if positive is not None and near:
            query = " ".join(item.evidence) if number % 2 else item.text
            negative = chance.choice(near).id
            rows.append(TrainingRow(f"{item.id}/{number}", query, world.train[positive], world.train[negative]))
    return rows


def _about(world: World) -> dict[str, Any]:
    n_cold = len(world.platform.keys() & world.topics.keys())
    return {
        "n_posts": len(world.platform),
        "n_cold": n_cold,
        "n_toxic": len(world.toxic),
        "base_rate": len(world.toxic) / len(world.platform),
        "base_rate_of_cold": len(world.toxic) / n_cold,
        "n_train": len(world.train),
        "n_train_toxic": len(world.train.keys() & world.flagged.keys()),
        "n_seeds": len(world.seeds),
    }


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name, value in vars(args).items() if not isinstance(value, Path)}


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="runs/pretrain-small", help="folder of the pre-trained encoder")
    parser.add_argument("--others", type=int, default=60_000, help="ordinary posts from elsewhere on the platform")
    parser.add_argument("--cold", type=int, help="posts of COLD; all of them if not given")
    parser.add_argument("--n-seeds", type=int, default=300, help="flagged posts that are searched from")
    parser.add_argument("--train-share", type=float, default=0.3, help="of COLD, for training and search feedback")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of training")
    parser.add_argument("--rows", type=int, default=2000, help="training rows")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--temperature", type=float, default=0.05)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--work", type=Path, default=Path("runs/expand-explore"), help="vectors and trained encoders")
    parser.add_argument("--smoke", action="store_true", help="a few posts, 16 rows, 32 tokens: whether it runs")
    parser.add_argument("--output", type=Path, default=RESULTS / "expand_explore.json", help="JSON; a table beside it")
    args = parser.parse_args()
    if args.smoke:
        args.others, args.cold, args.n_seeds, args.rows, args.batch_size, args.max_tokens = 0, 400, 20, 16, 8, 32
        args.seeds, args.work = [1], args.work.with_name(args.work.name + "-smoke")
    return args


if __name__ == "__main__":
    main()
