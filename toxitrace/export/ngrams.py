"""The n-gram tables in a graph: hashes out of small tables, for programs that compute integers in single precision.

OpenVINO (2026.4) got the products of large integers wrong without a word, and most n-grams with them. Here every
token's part of a hash is looked up, reduced already: no number reaches five times the number of buckets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from toxitrace.encoder.ngram_margin import MARGIN_MULTIPLIERS, NAMES, NgramMargin
from toxitrace.encoder.ngrams import MULTIPLIERS, NgramEmbedding, NgramTable


class LookedUpNgrams(NgramTable):
    """``NgramTable`` without a product of integers; the buckets are the same.

    Args:
        embedding: its table is shared, without a gradient.
    """

    def __init__(self, embedding: NgramEmbedding) -> None:
        table = embedding.ngrams
        super().__init__(table.buckets, 0)
        self.weight = nn.Parameter(table.weight.detach(), requires_grad=False)
        used = (multiplier for halves in MULTIPLIERS.values() for half in halves for multiplier in half)
        self.parts = _Parts(embedding.num_embeddings, used, table.buckets)

    def terms(self, tokens: list[Tensor], multipliers: tuple[int, ...]) -> list[Tensor]:
        """As in `NgramTable`, each term reduced."""
        found: list[Tensor] = self.parts(tokens, multipliers)
        return found


class LookedUpMargin(NgramMargin):
    """``NgramMargin`` without a product of integers.

    Args:
        margin: its tables are shared.
        n_tokens: entries of the vocabulary.
    """

    def __init__(self, margin: NgramMargin, n_tokens: int) -> None:
        super().__init__(margin.buckets)
        self.evidence, self.squares, self.names, self.bias = margin.evidence, margin.squares, margin.names, margin.bias
        for_bucket, for_name = zip(*MARGIN_MULTIPLIERS.values(), strict=True)
        self.parts = nn.ModuleDict(
            {
                str(modulus): _Parts(n_tokens, chain.from_iterable(by_order), modulus)
                for modulus, by_order in ((margin.buckets, for_bucket), (NAMES, for_name))
            }
        )

    def terms(self, tokens: Sequence[Tensor], multipliers: Sequence[int], modulus: int) -> list[Tensor]:
        """As in `NgramMargin`, each term reduced."""
        found: list[Tensor] = self.parts[str(modulus)](tokens, multipliers)
        return found


class _Parts(nn.Module):
    """What each entry of a vocabulary gives to a hash, by multiplier."""

    def __init__(self, n_tokens: int, multipliers: Iterable[int], modulus: int) -> None:
        super().__init__()
        ids = torch.arange(n_tokens)
        for multiplier in multipliers:
            self.register_buffer(f"times_{multiplier}", ids * multiplier % modulus)  # (V,)

    def forward(self, tokens: Sequence[Tensor], multipliers: Sequence[int]) -> list[Tensor]:
        tables = [self.get_buffer(f"times_{multiplier}") for multiplier in multipliers]
        return [table[token] for table, token in zip(tables, tokens, strict=True)]
