"""A model small enough to be computed by hand: 笨, 蛋 and 滚 are toxic, [CLS] has the largest gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from toxitrace.detector.backend import TokenBatch, Weighed
from toxitrace.settings import BiCSEParams, FoldOptions, ModelSettings, save_settings
from toxitrace.text import TextTokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARS = "你真是个笨蛋滚早上好今天吃了吗的不，。！"
TOXIC = "笨蛋滚"
VOCAB = {token: i for i, token in enumerate([*SPECIALS, *CHARS])}
SETTINGS = ModelSettings(max_tokens=10, bicse=BiCSEParams(gap=0))

# Legend: V vocabulary. The margin of a text is that of its most toxic token.
MARGIN = np.array([4.0 if token in TOXIC else -2.0 for token in VOCAB], dtype=np.float32)  # (V,)
WEIGHT = np.array([2.0 if token in TOXIC else 0.1 for token in VOCAB], dtype=np.float32)  # (V,)
WEIGHT[VOCAB["[CLS]"]] = 9.0


class FakeBackend:
    """Computes what the ONNX graph below computes, and keeps every batch it was asked for."""

    name = "fake"

    def __init__(self, margins_agree: bool = True, evidence: np.ndarray | None = None) -> None:
        """``evidence``, (V,), is what n-grams of one token say."""
        self.margins_agree = margins_agree
        self.evidence = evidence
        self.margin_batches: list[TokenBatch] = []
        self.saliency_batches: list[TokenBatch] = []

    def margins(self, batch: TokenBatch) -> np.ndarray:
        self.margin_batches.append(batch)
        return self._margin(batch)

    def saliency(self, batch: TokenBatch) -> Weighed:
        self.saliency_batches.append(batch)
        mask = batch.attention_mask.astype(np.float32)
        evidence = None if self.evidence is None else self.evidence[batch.input_ids] * mask
        return Weighed(self._margin(batch), WEIGHT[batch.input_ids] * mask, evidence)

    def _margin(self, batch: TokenBatch) -> np.ndarray:
        return np.where(batch.attention_mask == 1, MARGIN[batch.input_ids], -100.0).max(axis=1)


def raw_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(VOCAB, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIALS)
    return tokenizer


def text_tokenizer() -> TextTokenizer:
    return TextTokenizer(raw_tokenizer(), FoldOptions())


def write_export(folder: Path, settings: ModelSettings = SETTINGS, *, classifier: bool = True) -> Path:
    """An export folder that onnxruntime runs for real."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def graph(outputs: list[str]) -> onnx.ModelProto:
        nodes = [
            helper.make_node("Gather", ["MARGIN", "input_ids"], ["margins"]),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["attention_mask"], ["valid"], to=TensorProto.BOOL),
            helper.make_node("Where", ["valid", "margins", "LOW"], ["masked"]),
            helper.make_node("ReduceMax", ["masked", "AXIS"], ["margin"], keepdims=0),
        ]
        if "saliency" in outputs:
            nodes.append(helper.make_node("Gather", ["WEIGHT", "input_ids"], ["weights"]))
            nodes.append(helper.make_node("Mul", ["weights", "mask"], ["saliency"]))
        constants = {"MARGIN": MARGIN, "WEIGHT": WEIGHT, "LOW": np.float32(-100), "AXIS": np.array([1])}
        shapes = {"margin": ["B"], "saliency": ["B", "T"]}
        made = helper.make_graph(
            nodes,
            "fake",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"])
                for name in ("input_ids", "attention_mask")
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(graph(["margin", "saliency"]), folder / "model.onnx")
    if classifier:
        onnx.save(graph(["margin"]), folder / "classifier.onnx")
    raw_tokenizer().save(str(folder / "tokenizer.json"))
    save_settings(settings, folder)
    return folder
