"""A verdict of character n-grams beside the encoder's: a linear model whose sum is added to the margin.

A small encoder judges what it understands, a linear model over n-grams what it has seen; each catches what the other
misses, and one graph holds both (Wide & Deep, Cheng et al. 2016). The n-grams are presence features with TF-IDF
weights, scaled to length 1 for every text:

    z(text) = bias + Σ_n a_n / sqrt(Σ_n q_n),  a_n = idf_n · w_n,  q_n = idf_n²,  over the different n-grams n known.

z does not depend on the word embeddings, so the gradient of the margin, and with it the saliency, is the encoder's.
What z says of each token needs no gradient: an n-gram's part of the sum is shared out evenly among its tokens.

An n-gram has a bucket and a name, two hashes. The bucket holds the weights of one n-gram alone and that one's name:
an n-gram of another name is unknown, instead of borrowing weights that are not its own.

Legend: B batch, T tokens, M buckets, n-grams of 1 to 4 tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from toxitrace.encoder.ngram_hash import N_SPECIAL, pulled, shifted, sum_of

NAMES = 65_521  # a prime below 2^16: one strange n-gram in so many takes an owner's weights
NO_OWNER = -1
# order -> multipliers of its tokens, last token first, for the bucket and for the name; primes
MARGIN_MULTIPLIERS: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    1: ((32452867,), (49979693,)),
    2: ((15485867, 86028157), (67867979, 104395303)),
    3: ((122949829, 141650963, 160481219), (179424691, 198491329, 217645199)),
    4: ((236887699, 256203221, 275604547, 295075153), (314606891, 334214467, 353868019, 373587911)),
}
_NOTHING = 1e-6  # a text without a known n-gram: 0 / sqrt(this)


class Ngrams(NamedTuple):
    """The n-grams of one order, each at the token that it ends with."""

    bucket: Tensor
    """(B, T), below M."""
    name: Tensor
    """(B, T), below ``NAMES``."""
    real: Tensor
    """(B, T) bool: no special token, no padding, nothing before the start."""


class NgramMargin(nn.Module):
    """Token ids -> what the n-grams add to the margin. Fitted by `toxitrace.training.ngram_margin`, not by gradients.

    Args:
        buckets: M, rows of the table; a prime spreads the hashes best.
    """

    evidence: Tensor  # (M,): a of the bucket's owner
    squares: Tensor  # (M,): q of it
    names: Tensor  # (M,) int32: name of the owner, or NO_OWNER
    bias: Tensor  # (1,)

    def __init__(self, buckets: int) -> None:
        super().__init__()
        self.buckets = buckets
        self.register_buffer("evidence", torch.zeros(buckets))
        self.register_buffer("squares", torch.zeros(buckets))
        self.register_buffer("names", torch.full((buckets,), NO_OWNER, dtype=torch.int32))
        self.register_buffer("bias", torch.zeros(1))

    def forward(self, input_ids: Tensor) -> Tensor:
        """(B, T) -> (B,)."""
        return self.token_evidence(input_ids).sum(-1) + self.bias

    def token_evidence(self, input_ids: Tensor) -> Tensor:
        """(B, T): how much each token adds to z by its share in n-grams; 0 at special tokens and padding."""
        evidence = squares = self.evidence.new_zeros(())
        for order, ngrams in zip(MARGIN_MULTIPLIERS, self.ngrams(input_ids), strict=True):
            known = ngrams.real & (self.names[ngrams.bucket] == ngrams.name)  # (B, T)
            same = (ngrams.bucket[:, :, None] == ngrams.bucket[:, None]) & known[:, None]  # (B, T, T)
            times = same.to(self.evidence.dtype).sum(-1).clamp_min(1)  # (B, T): an n-gram counts once, however often
            share = known.to(self.evidence.dtype) / times
            ending = self.evidence[ngrams.bucket] * share / order  # (B, T), at the n-gram's last token
            evidence = evidence + sum_of([pulled(ending, ahead) for ahead in range(order)])
            squares = squares + (self.squares[ngrams.bucket] * share).sum(-1, keepdim=True)  # (B, 1)
        return evidence / (squares + _NOTHING).sqrt()

    def ngrams(self, input_ids: Tensor) -> Iterator[Ngrams]:
        """Hashes of all n-grams of (B, T) ids, one order after the other."""
        for order, (for_bucket, for_name) in MARGIN_MULTIPLIERS.items():
            tokens = [shifted(input_ids, back) for back in range(order)]  # of the n-gram that ends here, last first
            real = torch.stack(tokens).amin(0) >= N_SPECIAL
            bucket = sum_of(self.terms(tokens, for_bucket, self.buckets)) % self.buckets
            name = sum_of(self.terms(tokens, for_name, NAMES)) % NAMES
            yield Ngrams(bucket, name, real)

    def terms(self, tokens: Sequence[Tensor], multipliers: Sequence[int], modulus: int) -> list[Tensor]:
        """What each token, (B, T), gives to a hash of its n-gram; ids below 2^17 cannot overflow."""
        del modulus  # of use where the terms are looked up, reduced already
        return [token * multiplier for token, multiplier in zip(tokens, multipliers, strict=True)]


def add_ngram_margin(logits: Tensor, input_ids: Tensor, ngrams: NgramMargin) -> Tensor:
    """(B, 2) logits with the n-grams' part added to that of the toxic class."""
    margin = ngrams(input_ids).to(logits.dtype)  # (B,)
    return logits + torch.stack([torch.zeros_like(margin), margin], dim=-1)
