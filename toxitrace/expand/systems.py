"""Runs of the compared systems: keywords, vectors, both by rank.

A document under a query's own id is the query itself (ArguAna's queries stand in its corpus): no run holds it, as in
BEIR's evaluation (``ignore_identical_ids``), and its place goes to the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toxitrace.errors import DataError
from toxitrace.expand.beir import RetrievalSet
from toxitrace.expand.candidates import first_expansions
from toxitrace.expand.counted import counted
from toxitrace.expand.embeddings import EmbeddingCache
from toxitrace.expand.retriever import Retriever, exact_run
from toxitrace.search import BM25Engine, Hit, Item, fuse

Run = dict[str, dict[str, float]]


def bm25_run(data: RetrievalSet, depth: int, expansions: Mapping[str, str] | None = None) -> Run:
    """Keyword results: query id -> document id -> score.

    Args:
        expansions: query id -> text that is added to the query; None: queries alone.
    """
    engine = BM25Engine()
    engine.index(Item(id, text) for id, text in data.documents.items())
    asked = [query if expansions is None else f"{query} {expansions[id]}" for id, query in data.queries.items()]
    found = engine.search_many(asked, depth, [(id,) for id in data.queries])
    return {id: _scores(hits) for id, hits in zip(data.queries, found, strict=True)}


def dense_run(
    data: RetrievalSet,
    retriever: Retriever,
    depth: int,
    expansions: Mapping[str, str] | None = None,
    cache: EmbeddingCache | None = None,
) -> Run:
    """Results by exact cosine, queries represented as the retriever's settings say."""
    documents = retriever.encode_documents(data.documents, cache)
    queries = retriever.encode_queries(data.queries, expansions)
    return exact_run(data.queries, queries, list(data.documents), documents, depth)


def hybrid_run(runs: Sequence[Run], depth: int, pool: int = 100) -> Run:
    """Reciprocal rank fusion of the best ``pool`` results of each run."""
    fused: Run = {}
    for id in {id: None for run in runs for id in run}:
        rankings = [_ranking(run.get(id, {}), pool) for run in runs]
        fused[id] = _scores(fuse(rankings)[:depth])
    return fused


def expansions_for(
    data: RetrievalSet, candidates: Mapping[str, Sequence[str]], path: str
) -> tuple[dict[str, str], int]:
    """The one expansion of every query, and how many have none: a blank one, for which the query itself stands.

    Raises:
        DataError: a query was never expanded.
    """
    lacking = [id for id in data.queries if id not in candidates]
    if lacking:
        raise DataError(
            f"{path} has no row for {len(lacking)} of {counted(len(data.queries), 'query', 'queries')} of {data.name} "
            f"(first {lacking[0]!r}); expected one for each: write them with `toxitrace expand candidates`"
        )
    written = first_expansions({id: tuple(candidates[id]) for id in data.queries})
    return {id: written.get(id, query) for id, query in data.queries.items()}, len(data.queries) - len(written)


def _ranking(scores: Mapping[str, float], pool: int) -> list[Hit]:
    ordered = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    return [Hit(id, score) for id, score in ordered[:pool]]


def _scores(hits: Sequence[Hit]) -> dict[str, float]:
    return {hit.id: hit.score for hit in hits}
