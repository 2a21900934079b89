"""Score any number of records at constant memory, in chunks that depend on the records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from toxitrace.detector.records import BadLine, Record
from toxitrace.types import Prediction

MAX_CHUNK_TEXTS = 256
MAX_CHUNK_CHARS = 1 << 20


@dataclass(slots=True)
class Counts:
    """What a run has seen so far."""

    n_texts: int = 0
    n_toxic: int = 0
    n_truncated: int = 0
    n_bad: int = 0

    def add(self, predictions: Iterable[Prediction]) -> None:
        """Count predictions in."""
        for prediction in predictions:
            self.n_texts += 1
            self.n_toxic += prediction.toxic
            self.n_truncated += prediction.truncated


@dataclass(frozen=True, slots=True)
class Scored:
    """The answers to one chunk, ready to be written.

    Attributes:
        rows: the encoded rows, in the chunk's order.
        n_texts, n_toxic, n_truncated: what is among them.
    """

    rows: bytes
    n_texts: int
    n_toxic: int
    n_truncated: int

    def count_into(self, counts: Counts) -> None:
        """Add to the counts of the run."""
        counts.n_texts += self.n_texts
        counts.n_toxic += self.n_toxic
        counts.n_truncated += self.n_truncated


class ChunkRule:
    """Says where a chunk ends.

    A function of the records' texts alone, so a resumed run cuts the same chunks as one that was never
    interrupted, and pads the same batches: its output has the same bytes. So has that of several workers.
    """

    def __init__(self) -> None:
        self._n_texts = self._n_chars = 0

    def closes_with(self, record: Record) -> bool:
        """Take the next record in; true if the chunk ends with it."""
        self._n_texts += 1
        self._n_chars += len(record.text)
        full = self._n_texts >= MAX_CHUNK_TEXTS or self._n_chars >= MAX_CHUNK_CHARS
        if full:
            self._n_texts = self._n_chars = 0
        return full


def cut_chunks(
    items: Iterable[Record | BadLine], counts: Counts, on_bad: Callable[[BadLine], None]
) -> Iterator[list[Record]]:
    """Yield the records in chunks, in their order.

    Args:
        items: records and bad lines, read only as fast as chunks are taken.
        counts: bad lines are counted in as they come.
        on_bad: called for every bad line, in its turn.
    """
    rule, chunk = ChunkRule(), list[Record]()
    for item in items:
        if isinstance(item, BadLine):
            counts.n_bad += 1
            on_bad(item)
            continue
        chunk.append(item)
        if rule.closes_with(item):
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def score_chunk(
    chunk: Sequence[Record],
    predict: Callable[[Sequence[str]], Sequence[Prediction]],
    row: Callable[[Any, Prediction], str],
) -> Scored:
    """Score one chunk.

    Args:
        chunk: records that are scored together.
        predict: scores a list of texts.
        row: the row of a record's id and its prediction.
    """
    predictions = predict([record.text for record in chunk])
    counts = Counts()
    counts.add(predictions)
    rows = "".join(row(record.id, prediction) for record, prediction in zip(chunk, predictions, strict=True))
    return Scored(rows.encode(), counts.n_texts, counts.n_toxic, counts.n_truncated)
