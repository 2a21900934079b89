"""What is written for each text: one JSON line that says where its annotation comes from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from toxitrace.annotate.clues import Clue
from toxitrace.data.offsets import Offsets
from toxitrace.text import is_invisible

Source = Literal["llm", "recorded", "offline", "clues", "none"]
Outcome = Literal["ok", "invalid", "blocked", "failed", "missing", "blank"]
"""How it ended: ``ok``; ``invalid`` = two unusable answers; ``blocked`` = refused by the service's safety filter;
``failed`` = no answer (asked again by --resume); ``missing`` = the recorded annotations lack this id;
``blank`` = nothing to read in the text, so nobody was asked."""


class Stopped(NamedTuple):
    """A text that got no row because the run ended before its turn; the next run does it."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class SpanRow:
    """The weak spans of one text.

    Attributes:
        id: of the text.
        spans: evidence as half-open offsets in code points, disjoint; () = looked at, none found.
        clues: what the detector offered.
        source: who decided on ``spans``: a language model, recorded annotations, the offline refiner (a substitute
            for a language model), ``clues`` = nobody, the clues stand in, or ``none`` = nobody, a blank text.
        model: which language model, recording or refiner was asked.
        outcome: how the question ended.
        n_dropped: strings of the reply that do not stand in the text.
        wide: whether the spans cover most of a long text, which reviewers should see.
        error: what went wrong, in one line.
    """

    id: str
    spans: Offsets
    clues: tuple[Clue, ...]
    source: Source
    model: str
    outcome: Outcome = "ok"
    n_dropped: int = 0
    wide: bool = False
    error: str | None = None

    @classmethod
    def fallback(cls, id: str, clues: tuple[Clue, ...], model: str, outcome: Outcome, error: str | None) -> SpanRow:
        """The clues as spans, and why."""
        return cls(id, tuple((clue.start, clue.end) for clue in clues), clues, "clues", model, outcome, error=error)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready row; ``dropped``, ``wide`` and ``error`` appear only where there is something to say."""
        row: dict[str, Any] = {
            "id": self.id,
            "spans": [list(span) for span in self.spans],
            "clues": [list(clue) for clue in self.clues],
            "source": self.source,
            "model": self.model,
            "outcome": self.outcome,
        }
        return row | _present(dropped=self.n_dropped, wide=self.wide, error=self.error)


@dataclass(frozen=True, slots=True)
class RationaleRow:
    """Both arguments about one text; None for one that could not be had, and then ``outcome`` is not ``ok``.

    ``source`` is ``none`` unless both are usable.
    """

    id: str
    toxic: str | None
    non_toxic: str | None
    source: Source
    model: str
    outcome: Outcome = "ok"
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready row; readable by ``read_rationales`` if the outcome is ``ok``."""
        row: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__ if name != "error"}
        return row | _present(error=self.error)


def is_blank(text: str) -> bool:
    """Whether there is nothing to read: no character, or only white space and such as draw nothing.

    >>> is_blank(" \\u200b\\n"), is_blank("！")
    (True, False)
    """
    return all(char.isspace() or is_invisible(char) for char in text)


def text_hash(text: str) -> str:
    """The first 16 hexadecimal digits of a text's SHA-256: tells whether a row still belongs to its text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
