"""From a graph in torch to a model in ONNX, its weights inside."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import cast

import onnx
import onnx_ir as ir
import torch
from onnxscript.optimizer import optimize_ir
from torch import nn

from toxitrace.errors import ModelError

INPUTS = ("input_ids", "attention_mask")
# In the order of a graph's outputs; it has the first two, three or all.
OUTPUTS = ("margin", "probability", "saliency", "ngram_evidence")
# The newest operator set whose operators onnxruntime 1.19 all has, and one that torch writes without conversion.
_OPSET = 18
# Constants of a graph (shapes, axes, epsilons) are smaller.
_MIN_WEIGHT_ELEMENTS = 16


def to_onnx(graph: nn.Module) -> onnx.ModelProto:
    """Export a graph of plain operations with any batch size and length.

    Args:
        graph: what ``build_graph`` returned.

    Raises:
        ModelError: torch cannot express the model in ONNX.
    """
    input_ids = torch.arange(10).view(2, 5) % 7
    mask = torch.ones_like(input_ids)
    axes = {0: "batch", 1: "length"}
    try:
        with torch.inference_mode():
            names = OUTPUTS[: len(graph.eval()(input_ids, mask))]
        with _quiet():
            exported = torch.onnx.export(
                graph,
                (input_ids, mask),
                dynamo=True,
                dynamic_shapes=(axes, axes),
                input_names=list(INPUTS),
                output_names=list(names),
                opset_version=_OPSET,
                optimize=False,
                verbose=False,
            )
            program = cast(torch.onnx.ONNXProgram, exported)  # None is for exports to a file
            optimize_ir(program.model, should_fold=_may_fold)
    except Exception as error:  # the exporter's errors share no base but Exception
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"torch {torch.__version__} cannot export this model to ONNX: {line}") from error
    model: onnx.ModelProto = program.model_proto
    _strip(model)
    return model


def _may_fold(node: ir.Node) -> bool | None:
    """Leave what is computed from weights alone to onnxruntime: a file must not hold them twice, in two shapes."""
    weights = (value.const_value for value in node.inputs if value is not None and value.is_initializer())
    return False if any(weight is not None and weight.size >= _MIN_WEIGHT_ELEMENTS for weight in weights) else None


def _strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes: they are longer than the graph and name files of the machine that wrote it."""
    model.producer_name, model.producer_version, model.doc_string = "toxitrace", "", ""
    del model.metadata_props[:]
    graph = model.graph
    graph.name, graph.doc_string = "toxitrace", ""
    del graph.metadata_props[:]
    del graph.value_info[:]  # onnxruntime infers shapes itself
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks to its developers, on stdout, in warnings and in logs."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
