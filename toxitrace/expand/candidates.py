"""Candidate expansions of every query: temperatures x samples, each drawn with a seed of its own (methods.md 3)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from toxitrace.data.rowfile import read_rows
from toxitrace.data.rowlog import RowLog
from toxitrace.errors import ConfigError, DataError
from toxitrace.expand.asking import Asker, replies_by_id
from toxitrace.expand.preamble import strip_preamble
from toxitrace.expand.prompts import EXPANSION_VERSION, draw_seed, expansion_request
from toxitrace.llm.protocol import LLMReply, LLMRequest

Progress = Callable[[int, int], None]
"""Told after every query: how many are done, of how many."""


@dataclass(frozen=True)
class Sampling:
    """How many expansions are drawn for a query, and how."""

    temperatures: tuple[float, ...] = (0.8, 0.9, 1.0, 1.1)
    """One set of samples for each."""
    samples: int = 8
    """Draws per temperature."""
    max_new_tokens: int = 512
    """Longest expansion."""
    seed: int = 0
    """Of all draws; every draw has its own, made from this, the query's id, the temperature and its number."""

    def __post_init__(self) -> None:
        if not self.temperatures or min(self.temperatures) < 0:
            raise ConfigError(f"temperatures are {list(self.temperatures)}; expected one or more, none below 0")
        if self.samples > 1 and 0 in self.temperatures:
            raise ConfigError(f"{self.samples} samples at temperature 0 would be equal; expected 1, or more than 0")
        if len(set(self.temperatures)) < len(self.temperatures):
            raise ConfigError(
                f"temperatures are {list(self.temperatures)}; expected each once: equal ones draw the same"
            )
        if min(self.samples, self.max_new_tokens) < 1:
            raise ConfigError(f"samples are {self.samples} of {self.max_new_tokens} tokens; expected 1 or more")

    def draws(self) -> list[tuple[float, int]]:
        """(temperature, number of the sample), in the order of the candidates."""
        return [(temperature, sample) for temperature in self.temperatures for sample in range(self.samples)]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One expansion; ``text`` is without preamble, empty if the reply was blocked or empty."""

    temperature: float
    sample: int
    text: str
    finish: str

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """How a run ended: rows that are there, ids that still lack one, and the first reason."""

    n_rows: int
    n_left: int
    reason: str = ""
    n_without_text: int = 0


def write_candidates(
    queries: Mapping[str, str],
    output: str | os.PathLike[str],
    asker: Asker,
    sampling: Sampling,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> GenerationReport:
    """Write ``{"id", "query", "model", "candidates"}`` for every query, in the order of the queries.

    A query whose replies could not all be had gets no row, and is asked again by ``resume``; so is one whose text has
    changed.
    """
    draws = sampling.draws()

    def ask(id: str) -> list[LLMRequest]:
        return [
            expansion_request(
                queries[id],
                temperature=temperature,
                seed=draw_seed(sampling.seed, id, temperature, sample),
                max_new_tokens=sampling.max_new_tokens,
            )
            for temperature, sample in draws
        ]

    def row(id: str, replies: tuple[LLMReply, ...]) -> dict[str, Any]:
        found = [
            Candidate(temperature, sample, strip_preamble(reply.text), reply.finish).to_dict()
            for (temperature, sample), reply in zip(draws, replies, strict=True)
        ]
        return {"id": id, "query": queries[id], "model": replies[0].model, "candidates": found}

    settings = {
        "prompt": EXPANSION_VERSION,
        "model": asker.model,
        "temperatures": list(sampling.temperatures),
        "samples": sampling.samples,
        "max_new_tokens": sampling.max_new_tokens,
        "seed": sampling.seed,
    }
    return write_generated(queries, output, asker, ask, row, settings, resume=resume, progress=progress)


def write_generated(
    queries: Mapping[str, str],
    output: str | os.PathLike[str],
    asker: Asker,
    ask: Callable[[str], list[LLMRequest]],
    row: Callable[[str, tuple[LLMReply, ...]], dict[str, Any]],
    settings: Mapping[str, Any],
    *,
    resume: bool,
    progress: Progress | None = None,
) -> GenerationReport:
    """Ask for every query that has no row yet, and write the rows as they come."""
    with RowLog(output, settings, resume=resume) as log:
        log.rows = {key: kept for key, kept in log.rows.items() if kept.get("query") == queries.get(key[0])}
        left = [id for id in queries if (id,) not in log.rows]
        reason = ""
        for answered in replies_by_id(asker, ((id, ask(id)) for id in left)):
            if answered.replies is None:
                reason = reason or answered.error
                continue
            log.add([row(answered.id, answered.replies)])
            if progress:
                progress(len(log.rows), len(queries))
        n_left = sum((id,) not in log.rows for id in queries)
        n_without = sum(not usable_text(kept) for kept in log.rows.values())
        report = GenerationReport(len(log.rows), n_left, reason, n_without)
        log.finish(((id,) for id in queries), asdict(report))
        return report


def read_candidates(path: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Query id -> texts of its candidates, in their order, without preambles whoever wrote the file.

    Besides this module's rows it takes ``{"id", "expansion"}`` rows: expansions that were recorded elsewhere.

    Raises:
        DataError: a row has neither.
    """
    texts: dict[str, tuple[str, ...]] = {}
    for id, row in read_rows(path).items():
        found = [row["expansion"]] if "expansion" in row else _texts(row)
        if not found or not all(isinstance(text, str) for text in found):
            raise DataError(f"{path}: the row of {id!r} has no candidates; expected what `toxitrace expand` wrote")
        texts[id] = tuple(strip_preamble(text) for text in found)
    return texts


def first_expansions(candidates: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Query id -> the first candidate with a text: the one expansion to search with; ids without any are left out."""
    found = {id: next((text for text in texts if text.strip()), "") for id, texts in candidates.items()}
    return {id: text for id, text in found.items() if text}


def usable_text(row: Mapping[str, Any]) -> bool:
    """Whether a row holds anything to read."""
    return any(isinstance(text, str) and text.strip() for text in [*_texts(row), row.get("answer")])


def _texts(row: Mapping[str, Any]) -> list[Any]:
    candidates = row.get("candidates")
    return [item.get("text") for item in candidates if isinstance(item, dict)] if isinstance(candidates, list) else []
