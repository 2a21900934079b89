"""What both tables of n-grams share: which tokens an n-gram may hold, and how its hash is put together.

Legend: B batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

# [PAD] [UNK] [CLS] [SEP] [MASK]: an n-gram with one of them says nothing (the first five entries of our tokenizers)
N_SPECIAL = 5


def sum_of(terms: Sequence[Tensor]) -> Tensor:
    """The terms added up: `sum` would begin with a number that is no tensor."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def shifted(input_ids: Tensor, back: int) -> Tensor:
    """(B, T): the token so many places before each; [PAD] before the first."""
    return functional.pad(input_ids, (back, 0))[:, : input_ids.shape[1]] if back else input_ids


def pulled(values: Tensor, ahead: int) -> Tensor:
    """(B, T, ...): what stands so many places after each; 0 after the last."""
    if not ahead:
        return values
    return functional.pad(values, (0, 0) * (values.dim() - 2) + (0, ahead))[:, ahead:]
