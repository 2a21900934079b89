"""One JSON object as one line, to every reader of lines and in UTF-8."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# Line ends to Unicode, though not to JSON: a reader that splits at them would break the line in two.
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def json_line(row: Mapping[str, Any]) -> str:
    """The row and a line feed; with a lone surrogate, which is no UTF-8, all of it in ASCII.

    Raises:
        ValueError: a number is not finite, which is no JSON.

    >>> json_line({"id": 7, "text": "笨蛋\\u2028"})
    '{"id": 7, "text": "笨蛋\\\\u2028"}\\n'
    """
    line = json.dumps(row, ensure_ascii=False, allow_nan=False).translate(_LINE_ENDS)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        line = json.dumps(row, allow_nan=False)
    return line + "\n"
