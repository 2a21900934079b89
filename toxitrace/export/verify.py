"""Compare written graphs with torch in double precision, on inputs of other shapes than they were exported with.

Legend: B batch, T tokens.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
import torch
from numpy.typing import NDArray
from torch import Tensor

from toxitrace.detector.onnx_backend import CLASSIFIER_FILE, MODEL_FILE
from toxitrace.encoder import Classifier
from toxitrace.errors import ModelError
from toxitrace.saliency import saliency_pass
from toxitrace.settings import ModelSettings

# Largest difference of an exact graph: three digits above what single precision itself loses.
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Differences:
    """Largest differences between the graphs in onnxruntime and torch in double precision."""

    margin: float
    """Of ``model.onnx``, as a share of the largest margin."""
    saliency: float
    """As a share of the largest saliency among the words of the same text."""
    probability: float
    """Of either graph, absolute."""
    classifier_margin: float
    """Of ``classifier.onnx``, as a share of the largest margin."""
    ngram_evidence: float = 0.0
    """As a share of the largest evidence; 0 for models without n-grams that judge beside the encoder."""

    def to_dict(self) -> dict[str, float]:
        return dataclasses.asdict(self)

    @property
    def largest(self) -> float:
        """NaN if any is NaN."""
        return float(np.max(list(self.to_dict().values())))


def measure(folder: Path, classifier: Classifier, settings: ModelSettings, seed: int = 0) -> Differences:
    """Run both graphs of an export on random tokens: one text and three, short and full length, with padding.

    Args:
        folder: holds ``model.onnx`` and ``classifier.onnx``.
        classifier: the model they were made from; a copy of it is computed in double precision.
        seed: of the random tokens.
    """
    reference = copy.deepcopy(classifier).eval().double()
    full, forward = _session(folder / MODEL_FILE), _session(folder / CLASSIFIER_FILE)
    margin_errors, forward_errors, probability_errors, saliency_errors = [0.0], [0.0], [0.0], [0.0]
    evidence_errors = [0.0]
    largest_margin = largest_evidence = float(np.finfo(np.float32).tiny)
    for input_ids, attention_mask in _inputs(classifier, settings.max_tokens, seed):
        result = saliency_pass(reference, input_ids, attention_mask, kind=settings.saliency)
        margin = (result.logits[:, 1] - result.logits[:, 0]).numpy()  # (B,)
        probability = 1 / (1 + np.exp(-(settings.calibration.scale * margin + settings.calibration.offset)))
        feeds = {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
        full_margin, full_probability, saliency, *evidence = full.run(None, feeds)
        forward_margin, forward_probability = forward.run(["margin", "probability"], feeds)
        margin_errors.append(_distance(full_margin, margin))
        forward_errors.append(_distance(forward_margin, margin))
        probability_errors += [_distance(found, probability) for found in (full_probability, forward_probability)]
        saliency_errors.append(_saliency_distance(saliency, result.saliency.numpy(), attention_mask.numpy()))
        largest_margin = max(largest_margin, float(np.abs(margin).max()))
        with torch.inference_mode():
            wanted = reference.ngram_evidence(input_ids)  # (B, T)
        if wanted is not None:
            evidence_errors.append(_distance(evidence[0], wanted.numpy()) if evidence else float("inf"))
            largest_evidence = max(largest_evidence, float(wanted.abs().max()))
    return Differences(
        margin=float(np.max(margin_errors) / largest_margin),
        saliency=float(np.max(saliency_errors)),
        probability=float(np.max(probability_errors)),
        classifier_margin=float(np.max(forward_errors) / largest_margin),
        ngram_evidence=float(np.max(evidence_errors) / largest_evidence),
    )


def require_exact(found: Differences, tolerance: float = TOLERANCE) -> None:
    """Refuse graphs that do not compute what torch does.

    Raises:
        ModelError: a difference is above ``tolerance`` or no number.
    """
    if not found.largest <= tolerance:  # NaN is not within any tolerance
        shown = ", ".join(f"{name} {value:.1e}" for name, value in found.to_dict().items())
        raise ModelError(
            f"the exported graph differs from torch by {shown}, {tolerance:.0e} is allowed; nothing was written: "
            "try the versions in constraints.txt, or run the model folder with torch"
        )


def _inputs(classifier: Classifier, max_tokens: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Ids and mask (B, T) of several shapes; in a batch of three, two are padded."""
    generator = torch.Generator().manual_seed(seed)
    config = classifier.model.config
    for length in sorted({min(3, max_tokens), min(17, max_tokens), max_tokens}):
        for batch in (1, 3):
            lengths = torch.tensor([length, max(3, length // 2), 3][:batch]).clamp(max=length)
            attention_mask = (torch.arange(length) < lengths[:, None]).long()  # (B, T)
            input_ids = torch.randint(0, config.vocab_size, (batch, length), generator=generator)
            yield torch.where(attention_mask == 1, input_ids, config.pad_token_id or 0), attention_mask


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base but Exception
        raise ModelError(f"onnxruntime cannot load the exported {path.name}: {error}") from error


def _distance(found: NDArray[np.floating], wanted: NDArray[np.floating]) -> float:
    return float(np.abs(found.astype(np.float64) - wanted).max())


def _saliency_distance(
    found: NDArray[np.floating], wanted: NDArray[np.floating], attention_mask: NDArray[np.int64]
) -> float:
    """Largest difference over the tokens between the first and the last, which become [CLS] and [SEP]."""
    if found[attention_mask == 0].any():
        return float("inf")  # padding weighs nothing, exactly
    last = attention_mask.sum(axis=1, keepdims=True) - 1  # (B, 1)
    positions = np.arange(attention_mask.shape[1])
    content = (positions > 0) & (positions < last)  # (B, T)
    scale = (wanted * content).max(axis=1, keepdims=True)  # (B, 1)
    return float((np.abs(found - wanted) * content / scale).max())
