"""A number with its noun, for messages."""

from __future__ import annotations


def counted(n: int, one: str, many: str = "") -> str:
    """``n`` things in words; ``many`` if it is not ``one`` with an s.

    >>> counted(1, "query", "queries"), counted(2, "query", "queries"), counted(0, "row")
    ('1 query', '2 queries', '0 rows')
    """
    return f"{n} {one if n == 1 else many or one + 's'}"
