"""The vector that stands for a query: chosen once, stored with the retriever, the same in training and evaluation.

(The published code trains on the expansion alone and evaluates the mean; it trains on cosine and evaluates raw dot
products, methods.md section 3.) Every vector that leaves here has length 1, so a dot product is a cosine.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from toxitrace.errors import ConfigError, DataError

Floats = npt.NDArray[np.float32]
QueryMode = Literal["mean", "expansion", "query"]


def check_mode(mode: str) -> None:
    """Raise ConfigError unless ``mode`` is one of mean, expansion and query."""
    if mode not in get_args(QueryMode):
        raise ConfigError(f"--query is {mode!r}; expected one of {', '.join(get_args(QueryMode))}")


def unit(vectors: npt.ArrayLike) -> Floats:
    """Rows scaled to length 1; a row of zeros stays.

    >>> unit([[3.0, 4.0], [0.0, 0.0]]).round(3).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    table = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(table, axis=-1, keepdims=True)
    return np.asarray(table / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


def query_vectors(queries: npt.ArrayLike, expansions: npt.ArrayLike | None, mode: QueryMode) -> Floats:
    """(Q, D) vectors of queries and of their expansions -> (Q, D) vectors to search with.

    ``mean`` is q̃ = ½E(q) + ½E(expansion) of normalised vectors (LLM-QE), normalised once more. For ranking that changes
    nothing, as it scales all scores of a query alike; in the contrastive loss it makes the logit the cosine that
    evaluation ranks by.

    Args:
        expansions: not needed for ``query``.

    Raises:
        ConfigError: no such mode.
        DataError: the mode needs expansions and there are none, or of another shape.

    >>> query_vectors([[1.0, 0.0]], [[0.0, 2.0]], "mean").round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377]]
    """
    check_mode(mode)
    asked = unit(queries)
    if mode == "query":
        return asked
    if expansions is None:
        raise DataError(f"this retriever represents a query by {mode!r}, and no expansions are given: name their file")
    written = unit(expansions)
    if written.shape != asked.shape:
        raise DataError(f"queries have shape {asked.shape}, expansions {written.shape}; expected one for each query")
    return written if mode == "expansion" else unit((asked + written) / 2)
