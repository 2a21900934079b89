"""An export folder back into a classifier that can be trained on, or averaged with others.

The weights come out as the export holds them: of an export in half precision, rounded to it. What no output depends on
is lost: the head keeps the difference of its two rows alone, positions and token types are one table, and the last
layer's keys have no bias.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

from toxitrace.detector.backend import TokenBatch
from toxitrace.detector.onnx_backend import MODEL_FILE, OnnxBackend
from toxitrace.detector.torch_backend import TorchBackend
from toxitrace.encoder import Classifier
from toxitrace.encoder.ngrams import NgramBertConfig, NgramBertForSequenceClassification
from toxitrace.errors import ModelError

_HALF = ".half"  # what halve() adds to the name of a weight
_NORM_EPS = 1e-12  # BERT's
_TOLERANCE = 1e-3


def restore_classifier(folder: str | os.PathLike[str], n_heads: int = 4, ngram_margin: bool = True) -> Classifier:
    """Read the weights of ``model.onnx`` into a classifier, in evaluation mode.

    Args:
        folder: what ``export_model`` wrote, of a BERT with or without n-grams, in fp32, fp16 or int8.
        n_heads: attention heads, which the graph's weights do not tell.
        ngram_margin: False leaves out n-grams that judge beside the encoder.

    Raises:
        ModelError: there is no such file, it holds another architecture, or the classifier does not answer as it does.
    """
    path = Path(folder) / MODEL_FILE
    try:
        graph = onnx.load(path).graph
    except Exception as error:  # protobuf's and the file system's errors share no base but Exception
        raise ModelError(f"{path} cannot be read: {type(error).__name__}; expected an export folder") from error
    found = {t.name.removesuffix(_HALF): numpy_helper.to_array(t) for t in graph.initializer}
    try:
        model = _empty(found, n_heads)
        state = {name: _tensor(values) for name, values in _state(found, model.config).items()}
        missing, unknown = model.load_state_dict(state, strict=False)
    except (ArithmeticError, KeyError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path} is no BERT of {n_heads} heads that toxitrace exported: {error}") from error
    if unknown or any(not name.endswith("position_ids") for name in missing):
        raise ModelError(f"{path} lacks {', '.join([*missing, *unknown][:3])}: it is no BERT that toxitrace exported")
    restored = Classifier(model).eval()
    _require_same_answers(restored, folder)
    if not ngram_margin and isinstance(model, NgramBertForSequenceClassification):
        model.ngram_margin, model.config.ngram_margin_buckets = None, 0
    return restored


def _require_same_answers(restored: Classifier, folder: str | os.PathLike[str]) -> None:
    """What the weights do not tell (heads, activation, epsilon) shows in the answers."""
    n_tokens = min(24, restored.max_positions)
    rows = torch.randint(5, restored.model.config.vocab_size, (4, n_tokens), generator=torch.Generator().manual_seed(0))
    batch = TokenBatch(rows.numpy(), np.ones((4, n_tokens), np.int64))
    wanted = OnnxBackend(folder, threads=1).saliency(batch).margin
    found = TorchBackend(restored).margins(batch)
    off = float(np.abs(found - wanted).max())
    if not off <= _TOLERANCE * max(1.0, float(np.abs(wanted).max())):
        raise ModelError(
            f"the classifier read from {folder} answers differently (margins differ by {off:.2g}); "
            "give the number of attention heads it was trained with"
        )


def _empty(found: dict[str, npt.NDArray[Any]], n_heads: int) -> BertForSequenceClassification:
    vocab_size, hidden = found["words"].shape
    n_layers = 1 + sum(name.startswith("layers.") and name.endswith(".query.weight") for name in found)
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size, "hidden_size": hidden, "num_hidden_layers": n_layers,
        "num_attention_heads": n_heads, "intermediate_size": found["last.feed_forward.up.weight"].shape[1],
        "max_position_embeddings": len(found["positions"]), "layer_norm_eps": _NORM_EPS,
        "id2label": {0: "non_toxic", 1: "toxic"}, "label2id": {"non_toxic": 0, "toxic": 1},
    }  # fmt: skip
    if "ngrams.weight" not in found:
        return BertForSequenceClassification(BertConfig(**sizes))
    evidence = found.get("ngram_margin.evidence", ())
    sizes |= {"ngram_buckets": len(found["ngrams.weight"]), "ngram_margin_buckets": len(evidence)}
    return NgramBertForSequenceClassification(NgramBertConfig(**sizes))


def _state(found: dict[str, npt.NDArray[Any]], config: BertConfig) -> dict[str, npt.NDArray[Any]]:
    """The weights by their names in `transformers`, laid out as there."""
    state: dict[str, npt.NDArray[Any]] = {
        "bert.embeddings.word_embeddings.weight": found["words"],
        "bert.embeddings.position_embeddings.weight": found["positions"],
        "bert.embeddings.token_type_embeddings.weight": np.zeros((config.type_vocab_size, config.hidden_size)),
        **_norm(found, "norm", "bert.embeddings.LayerNorm"),
        **_affine(found, "pooler", "bert.pooler.dense"),
        # the margin is the difference of the logits: each row gets half of it
        "classifier.weight": np.stack([-found["head"][:, 0], found["head"][:, 0]]) / 2,
        "classifier.bias": np.stack([-found["head_bias"][0], found["head_bias"][0]]) / 2,
    }
    for number in range(config.num_hidden_layers):
        is_last = number == config.num_hidden_layers - 1
        source, target = "last" if is_last else f"layers.{number}", f"bert.encoder.layer.{number}"
        root = (config.hidden_size // config.num_attention_heads) ** 0.5  # the graph's queries hold the scores' scale
        state |= _affine(found, f"{source}.query", f"{target}.attention.self.query", root)
        state |= _affine(found, f"{source}.key", f"{target}.attention.self.key")
        state |= _affine(found, f"{source}.value", f"{target}.attention.self.value")
        state |= _affine(found, f"{source}.output", f"{target}.attention.output.dense")
        state |= _norm(found, f"{source}.norm", f"{target}.attention.output.LayerNorm")
        state |= _affine(found, f"{source}.feed_forward.up", f"{target}.intermediate.dense")
        state |= _affine(found, f"{source}.feed_forward.down", f"{target}.output.dense")
        state |= _norm(found, f"{source}.feed_forward.norm", f"{target}.output.LayerNorm")
    if "ngrams.weight" in found:
        state["bert.embeddings.word_embeddings.ngrams.weight"] = found["ngrams.weight"]
    for name in ("evidence", "squares", "names", "bias"):
        if f"ngram_margin.{name}" in found:
            state[f"ngram_margin.{name}"] = found[f"ngram_margin.{name}"]
    return state


def _affine(
    found: dict[str, npt.NDArray[Any]], source: str, target: str, scale: float = 1.0
) -> dict[str, npt.NDArray[Any]]:
    weight = found[f"{source}.weight"]
    # of the last layer's keys a softmax does not see the bias, and the graph has none
    bias = np.zeros(weight.shape[1], np.float32) if source == "last.key" else found[f"{source}.bias"]
    return {f"{target}.weight": weight.astype(np.float32).T * scale, f"{target}.bias": bias * scale}


def _norm(found: dict[str, npt.NDArray[Any]], source: str, target: str) -> dict[str, npt.NDArray[Any]]:
    return {f"{target}.{name}": found[f"{source}.{name}"] for name in ("weight", "bias")}


def _tensor(values: npt.NDArray[Any]) -> Tensor:
    tensor = torch.from_numpy(np.array(values, order="C"))
    return tensor.float() if tensor.is_floating_point() else tensor
