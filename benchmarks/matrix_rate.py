"""The machine's best rate of matrix products, how many operations an answer needs at the least, and the share of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

Precision = Literal["fp32", "bf16", "int8"]
Product = Callable[[], object]

# (R, K) x (K, C): a large square, which stays in no core's own cache, and the layers of both models at 2,048 tokens.
# With AMX the best of them is several times the square.
SHAPES = (
    (2048, 2048, 2048),
    (2048, 256, 256),
    (2048, 256, 1024),
    (2048, 1024, 256),
    (2048, 768, 768),
    (2048, 768, 3072),
    (2048, 3072, 768),
)
_TRIES = 5
_ROUNDS = 7
# Until the idle threads of the library before have stopped to spin.
_PAUSE_SECONDS = 0.2


def share_of_limit(run: Callable[[], object], operations: int, precision: Precision) -> dict[str, Any]:
    """What a program reaches of the best matrix-product rate of its precision, both measured in turns.

    Args:
        run: does the work once.
        operations: what that needs, as ``needed_operations`` counts it.
        precision: of the products it is held against.
    """
    run()
    seconds, rates, best = [], [], []
    for _ in range(_ROUNDS):
        time.sleep(_PAUSE_SECONDS)
        run()  # wakes its threads
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
        found = matrix_rates(precision)
        best.append(max(found, key=found.__getitem__))
        rates.append(found[best[-1]])
    speed = operations / statistics.median(seconds)
    return {
        "precision": precision,
        "operations_per_second": speed,
        "best_matrix_rate": statistics.median(rates),
        "best_matrix_product": statistics.mode(best),
        "share": speed / statistics.median(rates),
    }


def matrix_rates(precision: Precision) -> dict[str, float]:
    """Operations per second of products of all ``SHAPES``, by whoever computes them; the best of five tries each."""
    found = {}
    for library, products in _products(precision).items():
        time.sleep(_PAUSE_SECONDS)
        for (rows, inner, columns), product in products.items():
            seconds = []
            for _ in range(_TRIES):
                started = time.perf_counter()
                product()
                seconds.append(time.perf_counter() - started)
            found[f"{library}, {rows} x {inner} x {columns}"] = 2 * rows * inner * columns / min(seconds)
    return found


@cache
def _products(precision: Precision) -> dict[str, dict[tuple[int, int, int], Product]]:
    by_shape = {shape: _PRODUCTS[precision](*shape) for shape in SHAPES}
    libraries = next(iter(by_shape.values()))
    return {library: {shape: made[library] for shape, made in by_shape.items()} for library in libraries}


def _fp32_products(rows: int, inner: int, columns: int) -> dict[str, Product]:
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    x, y = a.numpy(), b.numpy()
    return {
        "torch": lambda: a @ b,
        "numpy": lambda: np.matmul(x, y),
        "onnxruntime": _onnxruntime_product("MatMul", x, y, TensorProto.FLOAT),
    }


def _bf16_products(rows: int, inner: int, columns: int) -> dict[str, Product]:
    a, b = torch.randn(rows, inner).bfloat16(), torch.randn(inner, columns).bfloat16()
    return {"torch": lambda: a @ b}


def _int8_products(rows: int, inner: int, columns: int) -> dict[str, Product]:
    """Unsigned activations, signed weights of seven bits, as an int8 export has them; signed ones for ``_int_mm``.

    No scales are looked for here. oneDNN gives bytes: the fewest to write. OpenVINO runs a graph of one such product
    in bf16, and onnxruntime's other kinds of eight bits were ten times as slow.
    """
    a = torch.randint(0, 64, (rows, inner), dtype=torch.uint8)
    b = torch.randint(-64, 64, (inner, columns), dtype=torch.int8)
    signed = a.to(torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(b.t().contiguous(), [rows, inner])
    scales, zeros = torch.ones(columns), torch.zeros(columns, dtype=torch.int64)
    return {
        "torch._int_mm": lambda: torch._int_mm(signed, b),
        "torch's oneDNN qlinear": lambda: torch.ops.onednn.qlinear_pointwise(
            a, 1.0, 0, packed, scales, zeros, None, 1000.0, 0, torch.uint8, "none", [], ""
        ),
        "onnxruntime MatMulInteger": _onnxruntime_product("MatMulInteger", a.numpy(), b.numpy(), TensorProto.INT32),
    }


_PRODUCTS: dict[Precision, Callable[[int, int, int], dict[str, Product]]] = {
    "fp32": _fp32_products,
    "bf16": _bf16_products,
    "int8": _int8_products,
}


def _onnxruntime_product(operator: str, x: np.ndarray, weight: np.ndarray, result_type: int) -> Product:
    """A graph of one product with a constant, which onnxruntime lays out beforehand as it does a model's."""
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [helper.make_tensor_value_info("y", result_type, (x.shape[0], weight.shape[1]))],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def needed_operations(
    layers: int, hidden: int, feed_forward: int, heads: int, tokens: int, *, gradient: bool = True
) -> int:
    """Multiplications and additions in the matrix products of one text's margin and, unless left out, its gradient.

    Counted is what the answer needs, not what a program happens to do: all tokens in all layers but the last; there
    the first token alone, whose attention takes one product per head with every token. Of the backward pass only what
    leads to the input: products with the weights once more, and twice those of the attention. Embeddings, norms,
    activations and softmax are not counted.
    """
    passes, attention_passes = (2, 3) if gradient else (1, 1)
    row = 2 * (4 * hidden * hidden + 2 * hidden * feed_forward)  # query, key, value, output, feed-forward of one token
    attention = 2 * 2 * tokens * tokens * hidden
    per_layer = passes * tokens * row + attention_passes * attention
    last = passes * row + attention_passes * 2 * 2 * tokens * hidden * heads
    pooler = passes * 2 * hidden * hidden
    return (layers - 1) * per_layer + last + pooler
