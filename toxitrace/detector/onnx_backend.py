"""Run an export folder with onnxruntime: ``model.onnx`` and, for plain scoring, ``classifier.onnx``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toxitrace.detector.backend import TokenBatch, Weighed
from toxitrace.errors import ModelError

if TYPE_CHECKING:
    import onnxruntime  # type: ignore[import-untyped]  # it ships no types

MODEL_FILE = "model.onnx"
CLASSIFIER_FILE = "classifier.onnx"
# What a pass with gradients asks for, as `Weighed` has it; the last one is not of every model.
OUTPUTS = ("margin", "saliency", "ngram_evidence")
# Metadata of both graphs: the hash of the weights in model.onnx, which classifier.onnx reads from there.
WEIGHTS_KEY = "toxitrace.weights_sha256"


class OnnxBackend:
    """An exported model.

    ``model.onnx`` takes ``input_ids`` and ``attention_mask`` (B, T) int64 and gives ``margin`` (B,), ``saliency``
    (B, T) and, if n-grams judge beside the encoder, ``ngram_evidence`` (B, T). ``classifier.onnx``, if there, gives
    ``margin`` alone: onnxruntime runs the whole graph even when only the margin is asked for, so a forward-only graph
    is faster.

    Args:
        folder: the export folder.
        threads: CPU threads; None takes every core this process may use.
        margins_agree: False if the forward-only graph is quantised and the other is not.

    Raises:
        ModelError: a file is missing, damaged, or has other inputs or outputs.
    """

    name = "onnx"

    def __init__(
        self, folder: str | os.PathLike[str], threads: int | None = None, *, margins_agree: bool = True
    ) -> None:
        folder = Path(folder)
        self.margins_agree = margins_agree
        self._model = _session(folder / MODEL_FILE, OUTPUTS[:2], threads)
        self._outputs = [name for name in OUTPUTS if name in {node.name for node in self._model.get_outputs()}]
        forward_only = folder / CLASSIFIER_FILE
        self._classifier = _session(forward_only, ("margin",), threads) if forward_only.is_file() else self._model
        if _weights(self._classifier) != _weights(self._model):
            raise ModelError(
                f"{forward_only} and {MODEL_FILE} are of two exports; export the model again with `toxitrace export`"
            )

    def margins(self, batch: TokenBatch) -> NDArray[np.float32]:
        (margin,) = _run(self._classifier, ["margin"], batch)
        return margin

    def saliency(self, batch: TokenBatch) -> Weighed:
        margin, *by_token = _run(self._model, self._outputs, batch)
        return Weighed(margin, *(values * batch.attention_mask.astype(values.dtype) for values in by_token))


def _session(path: Path, outputs: tuple[str, ...], threads: int | None) -> onnxruntime.InferenceSession:
    import onnxruntime  # half the import time of the score path: only when a model is loaded

    options = onnxruntime.SessionOptions()
    # Set even by default: onnxruntime's own choice pins threads to cores that a container may not own.
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0])
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not path.is_file():
        raise ModelError(f"{path} is missing; export the model again with `toxitrace export`")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base but Exception
        raise ModelError(f"{path} cannot be loaded: {_first_line(error)}; export the model again") from error
    found = ({node.name for node in session.get_inputs()}, {node.name for node in session.get_outputs()})
    if not ({"input_ids", "attention_mask"} <= found[0] and set(outputs) <= found[1]):
        raise ModelError(
            f"{path} has inputs {sorted(found[0])} and outputs {sorted(found[1])}; expected inputs "
            f"['attention_mask', 'input_ids'] and outputs {sorted(outputs)}: export it with `toxitrace export`"
        )
    return session


def _weights(session: onnxruntime.InferenceSession) -> str | None:
    found: str | None = session.get_modelmeta().custom_metadata_map.get(WEIGHTS_KEY)
    return found


def _run(session: onnxruntime.InferenceSession, outputs: list[str], batch: TokenBatch) -> list[NDArray[np.float32]]:
    feeds = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    try:
        return [np.asarray(value) for value in session.run(outputs, feeds)]
    except Exception as error:
        raise ModelError(
            f"the onnx model failed on a batch of {batch.input_ids.shape}: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
