"""Results that cross rooms: spans and predictions.

Offsets are half-open ``[start, end)`` in code points of the caller's untouched string.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Span:
    """A contiguous stretch of a text that carries its toxicity.

    >>> Span.of("你真是个笨蛋", 4, 6, 0.9)
    Span(start=4, end=6, text='笨蛋', score=0.9)
    """

    start: int
    end: int
    text: str
    score: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end or len(self.text) != self.end - self.start:
            raise ValueError(f"span [{self.start}, {self.end}) does not fit its text of {len(self.text)} characters")

    @classmethod
    def of(cls, text: str, start: int, end: int, score: float) -> Span:
        """Cut a span out of ``text``."""
        return cls(start, end, text[start:end], score)

    def to_dict(self) -> dict[str, Any]:
        return {"start": self.start, "end": self.end, "text": self.text, "score": self.score}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Span:
        return cls(int(row["start"]), int(row["end"]), str(row["text"]), float(row["score"]))


@dataclass(frozen=True, slots=True)
class Prediction:
    """The verdict on one text.

    Attributes:
        text: the caller's string, untouched.
        toxic: whether ``probability`` reached the model's threshold.
        probability: calibrated probability of toxicity in [0, 1].
        spans: the toxic words, in reading order; empty for a text that is not toxic.
        truncated: whether part of the text was left unread because it is too long.
    """

    text: str
    toxic: bool
    probability: float
    spans: tuple[Span, ...] = ()
    truncated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready row; ``truncated`` appears only when it is true."""
        row: dict[str, Any] = {
            "text": self.text,
            "toxic": self.toxic,
            "probability": self.probability,
            "spans": [span.to_dict() for span in self.spans],
        }
        if self.truncated:
            row["truncated"] = True
        return row

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Prediction:
        return cls(
            text=str(row["text"]),
            toxic=bool(row["toxic"]),
            probability=float(row["probability"]),
            spans=tuple(Span.from_dict(span) for span in row["spans"]),
            truncated=bool(row.get("truncated", False)),
        )
