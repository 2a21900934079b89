"""Run an export folder with OpenVINO, in bf16 where the processor multiplies that faster."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toxitrace.detector.backend import TokenBatch, Weighed
from toxitrace.detector.batching import with_even_shape
from toxitrace.detector.onnx_backend import CLASSIFIER_FILE, MODEL_FILE, OUTPUTS, OnnxBackend
from toxitrace.errors import MissingExtraError, ModelError
from toxitrace.settings import load_settings

# Twice what bf16 costs a trained model; a graph that is computed wrongly is off by far more.
_TOLERANCE = 0.1
# OpenVINO keeps what it prepares for a shape of batch, by default for 5,000 of them: gigabytes after 100,000 texts.
# That bought speed, but a scorer of whole files must not grow.
_KEPT_KERNELS = "64"
# So batches come in few shapes: a third as many over 10,000 mixed lines as unpadded, for 8 % more tokens.
_ROWS_MULTIPLE, _TOKENS_MULTIPLE = 4, 8


class OpenVINOBackend:
    """The graphs of ``toxitrace export``, compiled for this processor.

    Saliency differs from onnxruntime's by about a percent of a text's largest where bf16 is used; what that does to
    spans is measured in ``benchmarks/results/saliency_throughput.md``. OpenVINO also computes some graphs wrongly
    without a word (2026.4: products of large integers, saliency in fp32), so every model is compared with
    onnxruntime on random tokens before it is used.

    Args:
        folder: the export folder.
        vocab_size: entries of the tokenizer.
        threads: CPU threads; None takes every core this process may use.

    Raises:
        MissingExtraError: openvino is not installed.
        ModelError: a graph is missing or cannot be compiled, or OpenVINO computes something else than onnxruntime.
    """

    name = "openvino"
    margins_agree = True

    def __init__(self, folder: str | os.PathLike[str], vocab_size: int, threads: int | None = None) -> None:
        folder, core = Path(folder), _core()
        fast = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if fast else "f32",
            "INFERENCE_NUM_THREADS": threads
            or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0]),
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "CPU_RUNTIME_CACHE_CAPACITY": _KEPT_KERNELS,
        }
        self._model = _compiled(core, folder / MODEL_FILE, options)
        given = {name for output in self._model.model_outputs for name in output.get_names()}
        self._outputs = tuple(name for name in OUTPUTS if name in given)
        forward_only = folder / CLASSIFIER_FILE
        self._classifier = _compiled(core, forward_only, options) if forward_only.is_file() else self._model
        self._max_tokens = load_settings(folder).max_tokens
        self._require_agreement(OnnxBackend(folder, threads), vocab_size)

    def margins(self, batch: TokenBatch) -> NDArray[np.float32]:
        (margin,) = self._run(self._classifier, ("margin",), batch)
        return margin

    def saliency(self, batch: TokenBatch) -> Weighed:
        margin, *by_token = self._run(self._model, self._outputs, batch)
        n_tokens = batch.input_ids.shape[1]
        return Weighed(
            margin, *(values[:, :n_tokens] * batch.attention_mask.astype(values.dtype) for values in by_token)
        )

    def _run(self, request: Any, outputs: tuple[str, ...], batch: TokenBatch) -> list[NDArray[np.float32]]:
        """The outputs for the rows of ``batch``, run in a shape that comes again."""
        even = with_even_shape(batch, _ROWS_MULTIPLE, _TOKENS_MULTIPLE, self._max_tokens)
        return [found[: len(batch.input_ids)] for found in _run(request, outputs, even)]

    def _require_agreement(self, exact: OnnxBackend, vocab_size: int) -> None:
        lengths = np.array([24, 17, 9, 5])
        attention_mask = (np.arange(24) < lengths[:, None]).astype(np.int64)  # (4, 24)
        input_ids = np.random.default_rng(0).integers(min(5, vocab_size - 1), vocab_size, (4, 24)) * attention_mask
        batch = TokenBatch(input_ids, attention_mask)
        wanted_margin, wanted, wanted_evidence = exact.saliency(batch)
        margin, found, evidence = self.saliency(batch)
        off = max(np.abs(margin - wanted_margin).max(), np.abs(self.margins(batch) - wanted_margin).max())
        weights = _largest_share(found, wanted)
        if evidence is not None and wanted_evidence is not None:
            weights = max(weights, _largest_share(evidence, wanted_evidence))
        if not (off <= _TOLERANCE * max(1.0, float(np.abs(wanted_margin).max())) and weights <= _TOLERANCE):
            raise ModelError(
                f"OpenVINO computes another model than onnxruntime here (margins differ by {off:.2g}, tokens' weights "
                f"by {weights:.2g} of the largest); use --backend onnx"
            )


def _largest_share(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Largest difference of any token, as a share of the largest weight in its text."""
    largest = np.abs(wanted).max(axis=1, keepdims=True)
    return float((np.abs(found - wanted) / np.maximum(largest, np.finfo(np.float32).tiny)).max())


@cache
def _core() -> Any:
    """One for the whole process, never given up.

    OpenVINO's processor plugin installs a stack for signal handlers when it is loaded and removes it when it goes;
    of two that overlap, the second restores the stack that the first has unmapped, and the next signal, as of a child
    that ends, is a segmentation fault (seen with 2026.4).
    """
    try:
        import openvino
    except ModuleNotFoundError:
        raise MissingExtraError("openvino", "openvino") from None
    return openvino.Core()


def _compiled(core: Any, path: Path, options: dict[str, Any]) -> Any:
    if not path.is_file():
        raise ModelError(f"{path} is missing; export the model again with `toxitrace export`")
    try:
        return core.compile_model(core.read_model(str(path)), "CPU", options).create_infer_request()
    except Exception as error:  # openvino raises RuntimeError and kinds of its own
        raise ModelError(f"OpenVINO cannot compile {path}: {_last_line(error)}; use --backend onnx") from error


def _run(request: Any, outputs: tuple[str, ...], batch: TokenBatch) -> list[NDArray[np.float32]]:
    try:
        found = request.infer({"input_ids": batch.input_ids, "attention_mask": batch.attention_mask})
        return [np.array(found[name]) for name in outputs]  # copies: the request's own memory is used again
    except Exception as error:
        raise ModelError(f"OpenVINO failed on a batch of {batch.input_ids.shape}: {_last_line(error)}") from error


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
