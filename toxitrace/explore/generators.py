"""What writes queries, whatever it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from toxitrace.explore.records import SeedItem


class Generator(Protocol):
    """Writes queries for flagged items: a language model here or behind a service, or a rule."""

    def queries(self, items: Sequence[SeedItem]) -> list[list[str]]:
        """For each item its distinct queries, best first; an empty list where there is none."""
        ...
