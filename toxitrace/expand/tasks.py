"""The tasks of ``toxitrace expand``: files in, files out, each what its settings say. `run` strings them together."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toxitrace.data import sha256_file
from toxitrace.data.rowfile import read_rows, write_json, write_rows
from toxitrace.errors import ConfigError, DataError
from toxitrace.expand.answers import copy_recorded_answers, read_answers, write_answers
from toxitrace.expand.asking import open_asker
from toxitrace.expand.beir import RetrievalSet, read_retrieval_set
from toxitrace.expand.candidates import (
    GenerationReport,
    Progress,
    first_expansions,
    read_candidates,
    write_candidates,
)
from toxitrace.expand.config import (
    AnswersConfig,
    CandidatesConfig,
    EvaluateConfig,
    PreferencesConfig,
    RewardsConfig,
    TrainDPOConfig,
    TrainRetrieverConfig,
)
from toxitrace.expand.counted import counted
from toxitrace.expand.embeddings import EmbeddingCache
from toxitrace.expand.mining import mine_negatives
from toxitrace.expand.preferences import split_by_group
from toxitrace.expand.prompts import expansion_request, rendered_prompt
from toxitrace.expand.report import RetrievalReport, compare_all, read_systems
from toxitrace.expand.retriever import Retriever, open_retriever
from toxitrace.expand.retriever_settings import RetrieverSettings
from toxitrace.expand.reward_rows import preference_pairs, read_reward_rows, reward_rows
from toxitrace.expand.systems import Run, bm25_run, dense_run, expansions_for, hybrid_run
from toxitrace.expand.train_retriever import train_retriever, training_rows

Say = Callable[[str], None]


def candidates(config: CandidatesConfig, progress: Progress | None = None) -> GenerationReport:
    """Write candidate expansions; see `write_candidates`."""
    data = _limited(read_retrieval_set(config.data, config.split), config.limit, config.sampling.seed)
    with open_asker(config.ask, Path(config.output)) as asker:
        return write_candidates(
            data.queries, config.output, asker, config.sampling, resume=config.resume, progress=progress
        )


def answers(config: AnswersConfig, progress: Progress | None = None) -> GenerationReport:
    """Write answers, asked for or recorded."""
    data = _limited(read_retrieval_set(config.data, config.split), config.limit, config.seed)
    if config.recorded:
        n_rows = copy_recorded_answers(data, config.output)
        return GenerationReport(n_rows, 0)
    with open_asker(config.ask, Path(config.output)) as asker:
        return write_answers(
            data,
            config.output,
            asker,
            seed=config.seed,
            max_new_tokens=config.max_new_tokens,
            resume=config.resume,
            progress=progress,
        )


def rewards(config: RewardsConfig, say: Say) -> int:
    """Write rewards; returns how many queries pass the gate."""
    data = read_retrieval_set(config.data, config.split)
    retriever = open_retriever(config.retriever, RetrieverSettings(max_tokens=config.max_tokens), device=config.device)
    rows = list(
        reward_rows(
            data, read_candidates(config.candidates), read_answers(config.answers), retriever.encode, config.gate
        )
    )
    write_rows(config.output, (row.to_dict() for row in rows))
    best = sorted(row.best_similarity for row in rows)
    n_kept = sum(row.kept for row in rows)
    say(
        f"{config.output}: {counted(len(rows), 'query', 'queries')}, {n_kept} of them at or above the gate of "
        f"{config.gate}; best similarity from {best[0]:.3f} to {best[-1]:.3f}, median {best[len(best) // 2]:.3f}"
    )
    return n_kept


def preferences(config: PreferencesConfig, say: Say) -> int:
    """Write the pairs of training, and beside them those kept for development; returns how many there are."""
    found = read_reward_rows(config.rewards)
    queries = {id: str(row.get("query", "")) for id, row in read_rows(config.candidates).items()}
    tokenizer = _tokenizer(config.lm) if config.lm else None

    def prompt(id: str) -> str:
        return rendered_prompt(expansion_request(queries[id], temperature=1.0, seed=0), tokenizer)

    pairs = preference_pairs(found, read_candidates(config.candidates), prompt)
    groups = [(pair.id, found[pair.id].document) for pair in pairs]
    train, _ = split_by_group(groups, config.dev_share, config.seed)
    output = Path(config.output)
    n_train = write_rows(output, (pair.to_dict() for pair in pairs if pair.id in train))
    n_dev = write_rows(dev_file(output), (pair.to_dict() for pair in pairs if pair.id not in train))
    n_kept = sum(row.kept for row in found.values())
    say(
        f"{output}: {counted(n_train, 'pair')}, and {n_dev} in {dev_file(output).name}; of "
        f"{counted(len(found), 'query', 'queries')}, {len(found) - n_kept} below the gate and "
        f"{n_kept - n_train - n_dev} with candidates of one reward gave none"
    )
    return n_train + n_dev


def dev_file(output: Path) -> Path:
    """``pairs.jsonl`` -> ``pairs-dev.jsonl``."""
    return output.with_name(f"{output.stem}-dev{output.suffix}")


def dpo(config: TrainDPOConfig, say: Say) -> None:
    """Train the language model on the pairs and merge the adapters."""
    from toxitrace.expand.dpo import read_pairs, train_expansion_dpo

    def told(log: Mapping[str, float]) -> None:
        if "loss" in log:
            say(f"step {log['step']:.0f}/{log['n_steps']:.0f}: loss {log['loss']:.4f}")

    pairs = read_pairs(config.preferences)
    report = train_expansion_dpo(
        pairs, config.lm, config.output, config.dpo.settings(), resume=config.resume, on_log=told
    )
    margins = [log["rewards/margins"] for log in report.logs if "rewards/margins" in log]
    margin = f", margin {margins[0]:.3f} -> {margins[-1]:.3f}" if margins else ""
    say(f"{config.output}: trained on {counted(report.n_rows, 'pair')}, {report.n_too_long} too long{margin}")


def retriever(config: TrainRetrieverConfig, say: Say) -> Retriever:
    """Mine hard negatives and train; a document under the query's own id is no negative."""
    data = read_retrieval_set(config.data, config.split)
    expansions = first_expansions(read_candidates(config.expansions)) if config.expansions else None
    _say_own_documents(data, say)
    if config.negatives == "bm25":
        ranked = bm25_run(data, config.depth)
    else:
        # zero-shot, queries alone: an expansion that is not written yet is not needed to find negatives
        settings = RetrieverSettings("query", config.training.pooling, config.training.max_tokens)
        ranked = dense_run(data, open_retriever(config.encoder, settings, device=config.training.device), config.depth)
    rankings = {id: sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])) for id, scores in ranked.items()}
    negatives = mine_negatives(rankings, data.qrels, data.documents, skip=config.skip)
    rows = training_rows(data.queries, data.documents, data.qrels, negatives, config.training.query, expansions)
    n_without = len(data.queries) - len({row.id for row in rows})
    say(
        f"{counted(len(rows), 'training row')}; {n_without} of {counted(len(data.queries), 'query', 'queries')} left "
        f"out for want of a negative{'' if config.training.query == 'query' else ' or an expansion'}"
    )
    record = {"data_sha256": _hashes(config.data, config.split, config.expansions), "negatives": config.negatives}
    return train_retriever(config.encoder, rows, config.output, config.training, record=record, say=say)


def evaluate(config: EvaluateConfig, say: Say = lambda line: None) -> RetrievalReport:
    """Run the systems, score them, test them against the baseline and an earlier report; write the JSON.

    As in BEIR, a document under the query's own id is no result of any system.
    """
    from toxitrace.evaluation.ranking import score_ranking

    data = read_retrieval_set(config.data, config.split)
    if data.missing_documents:
        say(
            f"{config.data}: corpus.jsonl lacks {counted(data.n_missing_documents, 'document')} that "
            f"qrels/{config.split}.tsv names (first {data.missing_documents[0]!r}), which no system can find"
        )
    _say_own_documents(data, say)
    earlier = read_systems(config.against, data.name) if config.against else {}
    expansions: dict[str, str] | None = None
    n_blank = 0
    if config.expansions:
        expansions, n_blank = expansions_for(data, read_candidates(config.expansions), config.expansions)
    opened = _evaluated_retriever(config) if config.is_dense else None  # before searches that take long
    runs: dict[str, Run] = {}
    if {"bm25", "hybrid"} & set(config.systems):
        runs["bm25"] = bm25_run(data, config.depth)
    if "bm25-expanded" in config.systems:
        runs["bm25-expanded"] = bm25_run(data, config.depth, expansions)
    settings: dict[str, Any] = {"config": dataclasses.asdict(config)}
    if opened is not None:
        cache = EmbeddingCache(config.cache) if config.cache else None
        runs["dense"] = dense_run(data, opened, config.depth, expansions, cache)
        settings |= {"retriever": opened.settings.to_dict(), "retriever_fingerprint": opened.fingerprint}
    if "hybrid" in config.systems:
        runs["hybrid"] = hybrid_run([runs["bm25"], runs["dense"]], config.depth)
    systems = {name: score_ranking(data.qrels, runs[name]) for name in config.systems}
    baselines = {config.baseline: systems[config.baseline]} if config.baseline in systems else {}
    baselines |= earlier
    comparisons = compare_all(systems, baselines, n_draws=config.n_draws, seed=config.seed)
    settings |= {
        "data_sha256": _hashes(config.data, config.split, config.expansions),
        "n_missing_documents": data.n_missing_documents,
        "n_own_documents": len(data.own_documents),
        "n_blank_expansions": n_blank,
    }
    report = RetrievalReport(data.name, systems, comparisons, settings)
    if config.output:
        write_json(config.output, report.to_dict())
    return report


def _say_own_documents(data: RetrievalSet, say: Say) -> None:
    if not data.own_documents:
        return
    line = (
        f"{data.name}: {counted(len(data.own_documents), 'query has', 'queries have')} the id of a document (first "
        f"{data.own_documents[0]!r}); that document is left out of the query's results, as in BEIR"
    )
    if data.own_relevant:
        line += (
            f". {counted(len(data.own_relevant), 'of them is', 'of them are')} judged relevant to the query of that "
            "id and can never be found: where such a document is not the query itself, give it another id"
        )
    say(line)


def _evaluated_retriever(config: EvaluateConfig) -> Retriever:
    """The encoder of an evaluation, by its own settings if it has some."""
    zero_shot = RetrieverSettings(query=config.query, max_tokens=config.max_tokens)
    opened = open_retriever(config.retriever or "", zero_shot, device=config.device)
    if opened.settings.training and opened.settings.query != config.query != "query":
        raise ConfigError(
            f"{config.retriever} was trained to represent a query by {opened.settings.query!r}, but --query is "
            f"{config.query!r}: leave it out"
        )
    return opened


def _limited(data: RetrievalSet, limit: int | None, seed: int) -> RetrievalSet:
    """A sample of the queries by a hash of their ids: the same whatever their order; ids keep their order."""
    if limit is None or limit >= len(data.queries):
        return data
    if limit < 1:
        raise ConfigError(f"--limit is {limit}; expected 1 or more queries")

    def drawn(id: str) -> bytes:
        return hashlib.sha256(f"{seed}\0{id}".encode("utf-8", "surrogatepass")).digest()

    chosen = set(sorted(data.queries, key=drawn)[:limit])
    kept: dict[str, Any] = {
        name: {id: value for id, value in getattr(data, name).items() if id in chosen}
        for name in ("queries", "qrels", "answers")
    }
    return dataclasses.replace(data, **kept)


def _tokenizer(name: str) -> Any:
    from toxitrace.explore.language_model import load_language_model

    return load_language_model(name).tokenizer


def _hashes(folder: str, split: str, *files: str | None) -> dict[str, str]:
    root = Path(folder)
    paths = [root / "corpus.jsonl", root / "queries.jsonl", root / "qrels" / f"{split}.tsv"]
    return {str(path): sha256_file(path) for path in [*paths, *(Path(file) for file in files if file)]}


def require_rows(report: GenerationReport, output: str) -> None:
    """Raise DataError unless every query has its row."""
    if report.n_left:
        raise DataError(
            f"{counted(report.n_left, 'query has', 'queries have')} no row in {output} "
            f"({report.reason or 'interrupted'}): go on with --resume"
        )
