"""Hard negatives: documents that rank high for a query and are not judged relevant to it.

By id and over any ranking, of BM25 or of vectors. (``sentence_transformers.util.mine_hard_negatives`` works on texts,
so it cannot tell two documents of one text, nor keep to the qrels.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toxitrace.errors import ConfigError

Ranking = Sequence[tuple[str, float]]


def mine_negatives(
    rankings: Mapping[str, Ranking],
    qrels: Mapping[str, Mapping[str, int]],
    texts: Mapping[str, str],
    *,
    per_query: int = 1,
    skip: int = 0,
    margin: float | None = None,
) -> dict[str, tuple[str, ...]]:
    """The best-ranked documents of each query that are no answer to it.

    Nor is a document under the query's own id taken: it is the query itself (ArguAna).

    Args:
        rankings: query id -> (document id, score) pairs, best first.
        qrels: query id -> document id -> grade; what is judged above 0 is never a negative.
        texts: document id -> text; a copy of a relevant document under another id is no negative either.
        skip: leave out this many of the best others: where few documents are judged, they are often relevant too.
        margin: take only documents that score below (1 - margin) x the worst-scored relevant document of the ranking;
            None: any.

    Returns:
        Query id -> document ids, fewer than ``per_query`` where the ranking ends.

    >>> ranking = {"q": [("d1", 9.0), ("d2", 8.0), ("d3", 7.0)]}
    >>> mine_negatives(ranking, {"q": {"d2": 1}}, {"d1": "甲", "d2": "乙", "d3": "丙"})
    {'q': ('d1',)}
    """
    if per_query < 1 or skip < 0:
        raise ConfigError(f"{per_query} negatives after {skip} skipped ones; expected 1 or more, and 0 or more")
    if margin is not None and not 0 <= margin < 1:
        raise ConfigError(f"the margin of hard negatives is {margin}; expected a share in [0, 1)")
    mined: dict[str, tuple[str, ...]] = {}
    for query_id, ranking in rankings.items():
        relevant = {id for id, grade in qrels.get(query_id, {}).items() if grade > 0}
        copies = {texts[id] for id in relevant if id in texts}
        ceiling = min((score for id, score in ranking if id in relevant), default=None)
        others = [
            id
            for id, score in ranking
            if id != query_id
            and id not in relevant
            and texts.get(id) not in copies
            and (margin is None or ceiling is None or score < (1 - margin) * ceiling)
        ]
        mined[query_id] = tuple(others[skip : skip + per_query])
    return mined
