"""Traditional -> simplified, one character at a time, from the project's own table."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def traditional_to_simplified() -> dict[str, str]:
    """Traditional character -> simplified character.

    A character that is ordinary in simplified text is never a key, and no value is a key, so that the map
    leaves simplified text alone and changes nothing the second time.

    >>> table = traditional_to_simplified()
    >>> "".join(table.get(char, char) for char in "後來發現頭髮亂了")
    '后来发现头发乱了'
    """
    table: dict[str, str] = {}
    for line in files("toxitrace.text").joinpath("traditional.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            for group in line.split():
                table.update(dict.fromkeys(group[1:], group[0]))
    return table
