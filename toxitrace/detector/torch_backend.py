"""Run a model folder, or a classifier in memory, with torch. The only torch file of the score path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toxitrace.detector.backend import TokenBatch, Weighed
from toxitrace.errors import MissingExtraError
from toxitrace.settings import SaliencyKind

if TYPE_CHECKING:
    import torch

    from toxitrace.encoder import Classifier

WEIGHTS_FILE = "model.safetensors"


class TorchBackend:
    """A classifier on whatever device its parameters are.

    Args:
        classifier: gives (B, 2) logits for ``input_ids`` and ``attention_mask``; put into evaluation mode.
        kind: what stands for a token's weight.
    """

    name = "torch"
    margins_agree = True

    def __init__(self, classifier: Classifier, kind: SaliencyKind = "gradient") -> None:
        self._classifier = classifier.eval()
        self._kind = kind

    def margins(self, batch: TokenBatch) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            logits = self._classifier(*self._tensors(batch))  # (B, 2)
        return _numpy(logits[:, 1] - logits[:, 0])

    def saliency(self, batch: TokenBatch) -> Weighed:
        import torch

        from toxitrace.saliency import margin_saliency

        input_ids, attention_mask = self._tensors(batch)
        margin, saliency = margin_saliency(self._classifier, input_ids, attention_mask, kind=self._kind)
        mask = batch.attention_mask.astype(np.float32)
        with torch.inference_mode():
            evidence = self._classifier.ngram_evidence(input_ids)
        return Weighed(_numpy(margin), _numpy(saliency) * mask, None if evidence is None else _numpy(evidence) * mask)

    def _tensors(self, batch: TokenBatch) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        device = next(self._classifier.parameters()).device
        return torch.from_numpy(batch.input_ids).to(device), torch.from_numpy(batch.attention_mask).to(device)


def load_torch_backend(
    folder: str | os.PathLike[str], kind: SaliencyKind = "gradient", threads: int | None = None
) -> TorchBackend:
    """Load a model folder's classifier.

    Args:
        threads: CPU threads of torch, set for the whole process; None leaves them.

    Raises:
        MissingExtraError: torch is not installed.
        ModelError: the folder's weights are missing, damaged or of another shape.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise MissingExtraError("torch", "train") from None
    from toxitrace.encoder import load_classifier

    if threads is not None:
        torch.set_num_threads(threads)
    return TorchBackend(load_classifier(folder), kind)


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array
