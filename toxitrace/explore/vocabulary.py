"""The bytes that each token of a byte-level tokenizer stands for, as a trie. Pure, but for the tokenizer it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from toxitrace.errors import ModelError


def _byte_chars() -> tuple[str, ...]:
    """GPT-2's table: bytes that print stand for themselves, the others for the characters from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte) if byte in printable else chr(next(others)) for byte in range(256))


BYTE_CHARS = _byte_chars()
"""The character that stands for each byte in the vocabulary of a byte-level tokenizer."""

_BYTE_OF = {char: byte for byte, char in enumerate(BYTE_CHARS)}


class TokenTrie:
    """All tokens of a vocabulary by their bytes.

    Args:
        token_bytes: token id -> its bytes, special tokens left out.

    >>> trie = TokenTrie({5: b"ab", 6: b"a"})
    >>> node = trie.child(0, ord("a"))
    >>> trie.token_ids(node), trie.child(node, ord("c"))
    ((6,), None)
    """

    def __init__(self, token_bytes: Mapping[int, bytes]) -> None:
        self._edges: dict[int, int] = {}  # node * 256 + byte -> node; one flat dict: Qwen has 150,000 tokens
        self._ids: dict[int, tuple[int, ...]] = {}
        n_nodes = 1
        for id, spelt in sorted(token_bytes.items()):
            node = 0
            for byte in spelt:
                following = self._edges.get(node * 256 + byte)
                if following is None:
                    following = self._edges[node * 256 + byte] = n_nodes
                    n_nodes += 1
                node = following
            self._ids[node] = (*self._ids.get(node, ()), id)

    def child(self, node: int, byte: int) -> int | None:
        """The node one byte on; 0 is the root."""
        return self._edges.get(node * 256 + byte)

    def token_ids(self, node: int) -> tuple[int, ...]:
        """Tokens that end here."""
        return self._ids.get(node, ())


def token_bytes(tokenizer: Any) -> dict[int, bytes]:
    """Token id -> bytes, without special tokens.

    Args:
        tokenizer: a fast tokenizer of transformers.

    Raises:
        ModelError: it is not byte-level, so that its tokens do not simply add up to a text.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    spec = json.loads(backend.to_str()) if backend is not None else {}
    if "ByteLevel" not in set(_types(spec.get("decoder"))):
        raise ModelError(
            f"{type(tokenizer).__name__} is no byte-level tokenizer; grounded decoding expects one (Qwen, Llama 3, "
            "GPT-2, the small model): generate without it, or take such a model"
        )
    added = {int(id) for id in tokenizer.added_tokens_decoder}
    found = {
        id: bytes(_BYTE_OF[char] for char in token)
        for token, id in tokenizer.get_vocab().items()
        if id not in added and token and all(char in _BYTE_OF for char in token)
    }
    if len({spelt for spelt in found.values() if len(spelt) == 1}) < 256:
        # half a character could then be left without its other half
        found = {id: spelt for id, spelt in found.items() if _is_text(spelt)}
    return found


def _types(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield str(node.get("type"))
        for value in node.values():
            yield from _types(value)
    elif isinstance(node, list):
        for value in node:
            yield from _types(value)


def _is_text(spelt: bytes) -> bool:
    try:
        spelt.decode()
    except UnicodeDecodeError:
        return False
    return True
