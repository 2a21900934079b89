"""The machine's best rate of matrix products, and how many operations a saliency needs at the least."""

from __future__ import annotations

import time
from functools import cache
from typing import Any, Literal

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

_SIDE = 2048


def matrix_rates(precision: Literal["fp32", "bf16"]) -> dict[str, float]:
    """Operations per second of a 2048 x 2048 x 2048 product, by whoever computes it; the best of three tries."""
    work = _products(precision)
    found = {}
    for name, product in work.items():
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            product()
            seconds.append(time.perf_counter() - started)
        found[name] = 2 * _SIDE**3 / min(seconds)
    return found


@cache
def _products(precision: str) -> dict[str, Any]:
    a, b = torch.randn(_SIDE, _SIDE), torch.randn(_SIDE, _SIDE)
    if precision == "bf16":
        c, d = a.bfloat16(), b.bfloat16()
        return {"torch": lambda: c @ d}
    x, y = a.numpy(), b.numpy()
    shape = [_SIDE, _SIDE]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(y, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return {
        "torch": lambda: a @ b,
        "numpy": lambda: np.matmul(x, y),
        "onnxruntime": lambda: session.run(None, {"x": x}),
    }


def needed_operations(layers: int, hidden: int, feed_forward: int, heads: int, tokens: int) -> int:
    """Multiplications and additions in the matrix products of one text's margin and its input gradient.

    Counted is what the answer needs, not what a program happens to do: all tokens in all layers but the last; there
    the first token alone, whose attention takes one product per head with every token. Of the backward pass only what
    leads to the input: products with the weights once more, and twice those of the attention. Embeddings, norms,
    activations and softmax are not counted.
    """
    linear = 2 * tokens * (4 * hidden * hidden + 2 * hidden * feed_forward)
    attention = 2 * 2 * tokens * tokens * hidden
    per_layer = 2 * linear + 3 * attention  # forward and backward
    row = 2 * (
        4 * hidden * hidden + 2 * hidden * feed_forward
    )  # query, key, value, output and feed-forward of one token
    last = 2 * row + 2 * tokens * hidden * heads * (2 + 4)
    pooler = 2 * 2 * hidden * hidden
    return (layers - 1) * per_layer + last + pooler
