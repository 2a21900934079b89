"""Rewards of whole files: candidates and answers joined by query id, one row for each query, pairs made of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toxitrace.data.rowfile import read_rows
from toxitrace.errors import DataError
from toxitrace.expand.beir import RetrievalSet
from toxitrace.expand.counted import counted
from toxitrace.expand.fingerprint import texts_fingerprint
from toxitrace.expand.preferences import Preference, choose_pair
from toxitrace.expand.represent import Floats
from toxitrace.expand.rewards import GATE, expansion_rewards

Encode = Callable[[Sequence[str]], Floats]
"""Texts -> (n, D) unit vectors."""
_QUERIES_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class RewardRow:
    """Rewards of one query's candidates.

    Attributes:
        id: of the query.
        document: id of its gold document.
        rewards: one for each candidate, None for blank ones, which take no part in the ranks.
        best_similarity: see `ExpansionRewards`.
        kept: whether the query passes the gate.
        texts: `texts_fingerprint` of the candidates, so that rewards are never joined to others.
    """

    id: str
    document: str
    rewards: tuple[float | None, ...]
    best_similarity: float
    kept: bool
    texts: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready row."""
        return {name: getattr(self, name) for name in self.__slots__} | {"rewards": list(self.rewards)}


def reward_rows(
    data: RetrievalSet,
    candidates: Mapping[str, Sequence[str]],
    answers: Mapping[str, str],
    encode: Encode,
    gate: float = GATE,
) -> Iterator[RewardRow]:
    """Rows of the queries that have candidates, an answer and a gold document, in the order of the queries.

    Args:
        encode: of the zero-shot retriever; the same vectors for documents, answers and expansions.

    Raises:
        DataError: the files have no query in common.
    """
    gold = {id: found for id in data.queries if (found := data.gold(id)) is not None}
    ids = [id for id in gold if any(text.strip() for text in candidates.get(id, ())) and id in answers]
    if not ids:
        raise DataError(
            f"no query of {data.name} with a relevant document has both candidates and an answer (candidates: "
            f"{counted(len(candidates), 'query', 'queries')}, answers: {counted(len(answers), 'query', 'queries')}); "
            "expected files of one set and split"
        )
    for begin in range(0, len(ids), _QUERIES_AT_ONCE):
        part = ids[begin : begin + _QUERIES_AT_ONCE]
        places = {id: [place for place, text in enumerate(candidates[id]) if text.strip()] for id in part}
        # each text once: candidates repeat, and queries share documents
        texts = {text: None for id in part for text in (data.documents[gold[id]], answers[id], *candidates[id])}
        vector = dict(zip(texts, encode(list(texts)), strict=True))
        for id in part:
            document, answer = vector[data.documents[gold[id]]], vector[answers[id]]
            drawn = [vector[candidates[id][place]] for place in places[id]]
            worth = expansion_rewards(
                [float(document @ one) for one in drawn], [float(answer @ one) for one in drawn], gate
            )
            rewards: list[float | None] = [None] * len(candidates[id])
            for place, reward in zip(places[id], worth.rewards, strict=True):
                rewards[place] = reward
            fingerprint = texts_fingerprint(candidates[id])
            yield RewardRow(id, gold[id], tuple(rewards), worth.best_similarity, worth.kept, fingerprint)


def read_reward_rows(path: str | os.PathLike[str]) -> dict[str, RewardRow]:
    """Rows by query id.

    Raises:
        DataError: a row is none of `toxitrace expand rewards`.
    """
    rows: dict[str, RewardRow] = {}
    for id, row in read_rows(path).items():
        try:
            values = {name: row[name] for name in RewardRow.__slots__}
            rows[id] = RewardRow(**values | {"rewards": tuple(row["rewards"])})
        except (KeyError, TypeError):
            raise DataError(
                f"{path}: the row of {id!r} holds no rewards; expected what `toxitrace expand rewards` wrote"
            ) from None
    return rows


def preference_pairs(
    rewards: Mapping[str, RewardRow],
    candidates: Mapping[str, Sequence[str]],
    prompts: Callable[[str], str],
) -> list[Preference]:
    """One pair for each kept query whose candidates differ, joined by id.

    Args:
        prompts: query id -> what the model was asked.

    Raises:
        DataError: rewards and candidates are of two runs.
    """
    pairs = []
    for id, row in rewards.items():
        if id not in candidates or texts_fingerprint(candidates[id]) != row.texts:
            raise DataError(
                f"the rewards of query {id!r} were computed for other candidates; expected the rewards of this file: "
                "compute them again"
            )
        if not row.kept:
            continue
        ranked = [
            (text, reward) for text, reward in zip(candidates[id], row.rewards, strict=True) if reward is not None
        ]
        pair = choose_pair(id, prompts(id), [text for text, _ in ranked], [reward for _, reward in ranked])
        if pair is not None:
            pairs.append(pair)
    return pairs
