"""What a detector asks of a model, whatever runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TokenBatch:
    """Padded token sequences, special tokens included.

    Attributes:
        input_ids: (B, T) int64.
        attention_mask: (B, T) int64, 1 at tokens and 0 at padding.
    """

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]


class Weighed(NamedTuple):
    """What a pass with gradients gives for a batch."""

    margin: NDArray[np.float32]
    """(B,) uncalibrated, z_tox - z_non."""
    saliency: NDArray[np.float32]
    """(B, T) length of the margin's gradient at each token, not scaled, 0 at padding."""
    ngram_evidence: NDArray[np.float32] | None = None
    """(B, T) what n-grams that judge beside the encoder add to the margin by each token, of either sign, 0 at padding;
    None: the model has no such n-grams."""


class Backend(Protocol):
    """A model that weighs token batches. Legend: B batch, T tokens."""

    @property
    def name(self) -> str:
        """Short name of what runs the model, for reports: ``onnx``, ``openvino``, ``torch``."""
        ...

    @property
    def margins_agree(self) -> bool:
        """Whether ``saliency`` gives the margins that ``margins`` gives, but for rounding: one pass can do for both."""
        ...

    def margins(self, batch: TokenBatch) -> NDArray[np.float32]:
        """Uncalibrated margins z_tox - z_non, (B,)."""
        ...

    def saliency(self, batch: TokenBatch) -> Weighed:
        """Margins, and what weighs every token."""
        ...
