"""Make characters harmless that a screen would obey instead of show. Pure."""

from __future__ import annotations

# Bidirectional embeddings, overrides and isolates can show a text in an order that it does not have.
_BIDI = [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C]
_CONTROL_PICTURES = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_REPLACED = dict.fromkeys([*range(0x80, 0xA0), 0x2028, 0x2029, *_BIDI, *range(0xD800, 0xE000)], 0xFFFD)
_ONE_LINE = _CONTROL_PICTURES | _REPLACED
_WITH_LINES = {code: picture for code, picture in _ONE_LINE.items() if code not in (0x09, 0x0A)}


def visible(text: str, *, keep_lines: bool = False) -> str:
    """Replace controls, escape sequences, bidi marks and lone surrogates, one character for one.

    Offsets into the result are offsets into ``text``, and the result can always be encoded as UTF-8.

    Args:
        keep_lines: leave line feeds and tabs as they are.

    >>> visible("你好\\x1b[31m\\n")
    '你好␛[31m␊'
    """
    return text.translate(_WITH_LINES if keep_lines else _ONE_LINE)
