"""Smaller files: half-precision weights on disk, eight-bit products for the forward-only graph."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxscript.optimizer import optimize

from toxitrace.errors import ModelError

Precision = Literal["fp32", "fp16", "int8"]

# Smaller tensors (biases, norms) stay exact: they weigh nothing on disk.
_MIN_HALVED_ELEMENTS = 1024


def halve(model: onnx.ModelProto) -> None:
    """Store the weights in half precision and widen them in the graph, in place.

    onnxruntime folds the widening when it loads the model: the computation stays in single precision, at its speed.

    Raises:
        ModelError: a weight is too large for half precision.
    """
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _MIN_HALVED_ELEMENTS:
            continue
        weight = numpy_helper.to_array(tensor)
        largest = float(np.abs(weight).max())
        if not largest <= float(np.finfo(np.float16).max):
            raise ModelError(f"weight {tensor.name} reaches {largest:.3g}, too large for fp16; export with fp32")
        name, tensor.name = tensor.name, f"{tensor.name}.half"
        tensor.raw_data = weight.astype(np.float16).tobytes()
        tensor.data_type = TensorProto.FLOAT16
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}.widen", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose matrix products run on eight-bit integers.

    Weights keep seven of the eight bits (``reduce_range``): with all of them the sums overflow on CPUs without VNNI,
    and the same file would score differently from machine to machine. Activations are scaled as they come.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]

    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it advises on pre-processing that this graph does not need
    try:
        with tempfile.TemporaryDirectory(prefix="toxitrace-") as name:
            source, target = Path(name) / "float.onnx", Path(name) / "int8.onnx"
            folded = optimize(model)  # turns transposed weights into weights: only those are quantised
            onnx.save(folded, source)
            quantize_dynamic(
                source, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
                op_types_to_quantize=["MatMul", "Gemm"], nodes_to_exclude=_with_stacked_weights(folded),
            )  # fmt: skip
            return onnx.load(target)
    finally:
        logger.setLevel(level)


def _with_stacked_weights(model: onnx.ModelProto) -> list[str]:
    """Products with one weight per head: onnxruntime has no integer kernel for those."""
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and ranks.get(node.input[1], 2) != 2]
