"""The n-gram table in a graph: hashes out of small tables, for programs that compute integers in single precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toxitrace.encoder.ngrams import MULTIPLIERS, NgramEmbedding, NgramTable


class LookedUpNgrams(NgramTable):
    """``NgramTable`` without a product of integers: every token's part of a hash is looked up, reduced already.

    The buckets are the same, and no number reaches three times their count. OpenVINO (2026.4) got the products wrong
    without a word, and most n-grams with them.

    Args:
        embedding: its table is shared, without a gradient.
    """

    def __init__(self, embedding: NgramEmbedding) -> None:
        table = embedding.ngrams
        super().__init__(table.buckets, 0)
        self.weight = nn.Parameter(table.weight.detach(), requires_grad=False)
        ids = torch.arange(embedding.num_embeddings)
        self._names: dict[int, str] = {}
        for multiplier in (m for halves in MULTIPLIERS.values() for half in halves for m in half):
            self._names[multiplier] = f"hash_{multiplier}"
            self.register_buffer(self._names[multiplier], ids * multiplier % table.buckets)  # (V,)

    def terms(self, tokens: list[Tensor], multipliers: tuple[int, ...]) -> list[Tensor]:
        """As in `NgramTable`, each term reduced."""
        tables = [self.get_buffer(self._names[multiplier]) for multiplier in multipliers]
        return [table[token] for table, token in zip(tables, tokens, strict=True)]
