"""Which replies are grounded: every query up to n stretches of the item, joined by blanks. Pure.

The language of grounded replies as an automaton over bytes, because tokens are bytes: a token may end inside a
character, cover several, or cross from one query into the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from toxitrace.explore.config import GroundSettings
from toxitrace.explore.vocabulary import TokenTrie

_BARRIER = 0xFF  # between items and at the end; no byte of UTF-8
_BLANK, _NEW_QUERY = 0x20, 0x0A
_ANYWHERE = -1


class State(NamedTuple):
    """Where a reply may stand in the items.

    Attributes:
        places: (next byte of the items, stretches begun before this one); `_ANYWHERE`: a stretch is about to begin.
        n_chars: characters of the query so far.
        n_queries: queries that are finished.
    """

    places: frozenset[tuple[int, int]]
    n_chars: int
    n_queries: int


def is_grounded(query: str, texts: Sequence[str], max_pieces: int) -> bool:
    """Whether a query is at most ``max_pieces`` stretches of the texts, joined by blanks: the law that decoding obeys.

    Args:
        query: cleaned.
        texts: cleaned texts of the items.
        max_pieces: most stretches.

    >>> is_grounded("真是 笨蛋", ["你真是个笨蛋"], 2), is_grounded("真是 笨蛋", ["你真是个笨蛋"], 1)
    (True, False)
    """
    words = query.split()
    if not words:
        return False
    fewest = [0.0, *(math.inf for _ in words)]  # stretches that cover the first i words
    for end in range(1, len(words) + 1):
        for start in range(end):
            if fewest[start] + 1 < fewest[end] and any(" ".join(words[start:end]) in text for text in texts):
                fewest[end] = fewest[start] + 1
    return fewest[-1] <= max_pieces


class GroundedReplies:
    """The grounded replies for some items.

    Args:
        texts: cleaned texts of the items.
        settings: most stretches, queries and characters.
        trie: the vocabulary.
    """

    def __init__(self, texts: Sequence[str], settings: GroundSettings, trie: TokenTrie) -> None:
        self._settings = settings
        self._trie = trie
        self._bytes = bytes([_BARRIER]).join(text.encode() for text in texts) + bytes([_BARRIER])
        self._allowed: dict[State, tuple[tuple[int, ...], bool]] = {}

    @property
    def start(self) -> State:
        """Nothing written yet."""
        return State(frozenset({(_ANYWHERE, 0)}), 0, 0)

    def after(self, state: State, spelt: bytes) -> State | None:
        """The state after some bytes; None if no grounded reply has them here."""
        found: State | None = state
        for byte in spelt:
            if found is None:
                return None
            found = self._step(found, byte)
        return found

    def allowed(self, state: State) -> tuple[tuple[int, ...], bool]:
        """The tokens that may come next, and whether the reply may end here."""
        known = self._allowed.get(state)
        if known is None:
            ids = self._token_ids(state)
            whole = any(self._ends_here(place) for place, _ in state.places)
            long_enough = state.n_chars >= self._settings.min_query_chars
            # where nothing can follow, a query or even the reply is as short as it is: an item of one character or none
            known = self._allowed[state] = (ids, (whole and long_enough) or not ids)
        return known

    def _token_ids(self, state: State) -> tuple[int, ...]:
        ids: list[int] = []
        stack = [(0, state)]
        while stack:
            node, here = stack.pop()
            ids += self._trie.token_ids(node)
            for byte in self._next_bytes(here):
                child = self._trie.child(node, byte)
                following = self._step(here, byte) if child is not None else None
                if child is not None and following is not None:
                    stack.append((child, following))
        return tuple(sorted(ids))

    def _next_bytes(self, state: State) -> set[int]:
        """Bytes that may follow, and perhaps some that may not."""
        following = {_BLANK, _NEW_QUERY}
        for place, _ in state.places:
            if place == _ANYWHERE:
                following |= self._beginnings.keys()
            else:
                following.add(self._bytes[place])
        return following

    def _step(self, state: State, byte: int) -> State | None:
        limits = self._settings
        begins_char = byte & 0xC0 != 0x80
        n_chars = state.n_chars + begins_char
        if byte == _NEW_QUERY:
            whole = any(self._ends_here(place) for place, _ in state.places)
            if not whole or state.n_chars < limits.min_query_chars or state.n_queries + 1 >= limits.max_queries:
                return None
            return State(self.start.places, 0, state.n_queries + 1)
        if byte == _BARRIER or n_chars > limits.max_query_chars:
            return None
        places: set[tuple[int, int]] = set()
        for place, piece in state.places:
            if place == _ANYWHERE:
                places.update((start + 1, piece) for start in self._beginnings.get(byte, ()))
                continue
            if self._bytes[place] == byte:
                places.add((place + 1, piece))
            # a blank needs room for one character behind it
            joins = byte == _BLANK and piece + 1 < limits.max_pieces and n_chars < limits.max_query_chars
            if joins and self._ends_here(place):
                places.add((_ANYWHERE, piece + 1))
        return State(frozenset(places), n_chars, state.n_queries) if places else None

    def _ends_here(self, place: int) -> bool:
        """Whether a stretch that covers the bytes before ``place`` ends between two characters."""
        return place != _ANYWHERE and self._bytes[place] & 0xC0 != 0x80

    @cached_property
    def _beginnings(self) -> dict[int, tuple[int, ...]]:
        """First byte -> places where a character begins with it, blanks aside."""
        found: dict[int, list[int]] = {}
        for place, byte in enumerate(self._bytes):
            if byte & 0xC0 != 0x80 and byte not in (_BARRIER, _BLANK):
                found.setdefault(byte, []).append(place)
        return {byte: tuple(places) for byte, places in found.items()}
