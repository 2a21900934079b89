"""Two graphs, one set of weights on disk.

``model.onnx`` holds its weights inside and stands alone. The forward-only graph names the same bytes as external
data *in model.onnx*: ONNX allows any file beside the graph, at any offset. Both files carry the hash of those
weights, so that a reader can tell two files that do not belong together.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx

from toxitrace.detector.onnx_backend import CLASSIFIER_FILE, MODEL_FILE, WEIGHTS_KEY

# onnxruntime maps external data into memory where it lies: vector units want it aligned like their own buffers.
_ALIGNMENT = 64
# Below, a tensor costs less than the description of its place.
_MIN_SHARED_BYTES = 256
_LENGTH_DELIMITED = 2


def write_pair(model: onnx.ModelProto, classifier: onnx.ModelProto, folder: Path) -> None:
    """Write ``model.onnx``, and ``classifier.onnx`` that reads its weights from it.

    Args:
        model: weights inside; changed by the call.
        classifier: weights inside; those that ``model`` has too lose their bytes by the call.
    """
    digest = _weights_hash(model)
    for graph in (model, classifier):
        onnx.helper.set_model_props(graph, {WEIGHTS_KEY: digest})
    content, offsets = _serialise(model)
    (folder / MODEL_FILE).write_bytes(content)
    places = {
        (tensor.data_type, tuple(tensor.dims), tensor.raw_data): offset
        for tensor, offset in zip(model.graph.initializer, offsets, strict=True)
    }
    for tensor in classifier.graph.initializer:
        offset = places.get((tensor.data_type, tuple(tensor.dims), tensor.raw_data))
        if offset is not None and len(tensor.raw_data) >= _MIN_SHARED_BYTES:
            _point(tensor, offset)
    (folder / CLASSIFIER_FILE).write_bytes(classifier.SerializeToString())


def _point(tensor: onnx.TensorProto, offset: int) -> None:
    """Replace a tensor's bytes by their place in ``model.onnx``."""
    for key, value in (("location", MODEL_FILE), ("offset", str(offset)), ("length", str(len(tensor.raw_data)))):
        tensor.external_data.add(key=key, value=value)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")


def _weights_hash(model: onnx.ModelProto) -> str:
    digest = hashlib.sha256()
    for tensor in model.graph.initializer:
        digest.update(f"{tensor.name} {tensor.data_type} {list(tensor.dims)}\n".encode())
        digest.update(tensor.raw_data)
    return digest.hexdigest()


def _serialise(model: onnx.ModelProto) -> tuple[bytes, list[int]]:
    """The model's bytes with every weight aligned, and where each weight starts.

    Protobuf's own writer says nothing of places and aligns nothing. This one writes the same messages, weights last,
    each after a comment (``doc_string``) that is as long as its alignment needs.
    """
    shell = onnx.ModelProto()
    shell.CopyFrom(model)
    shell.ClearField("graph")
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    graph.ClearField("initializer")
    # the graph's length stands before its weights and depends on their padding: reserve the longest that can be
    head, start = shell.SerializeToString(), graph.SerializeToString()
    most = len(start) + sum(tensor.ByteSize() + 3 * _ALIGNMENT for tensor in model.graph.initializer)
    width = len(_varint(most))
    parts, offsets = [start], list[int]()
    position = len(head) + len(_tag(onnx.ModelProto, "graph")) + width + len(start)
    for tensor in model.graph.initializer:
        encoded, raw_at = _encode(tensor, position)
        parts.append(encoded)
        offsets.append(position + raw_at)
        position += len(encoded)
    body = sum(map(len, parts))
    # a varint may be longer than it need be: every reader of protobuf takes it
    return b"".join((head, _tag(onnx.ModelProto, "graph"), _varint(body, width), *parts)), offsets


def _encode(tensor: onnx.TensorProto, position: int) -> tuple[bytes, int]:
    """One ``initializer`` of a graph as it stands at ``position`` of a file, and where in it its weights start."""
    bare = onnx.TensorProto()
    bare.CopyFrom(tensor)
    raw = bare.raw_data
    bare.ClearField("raw_data")
    fields = bare.SerializeToString()
    raw_head = _tag(onnx.TensorProto, "raw_data") + _varint(len(raw))
    for n_padding in range(2 * _ALIGNMENT):
        comment = _tag(onnx.TensorProto, "doc_string") + _varint(n_padding) + b" " * n_padding
        before = fields + comment + raw_head
        head = _tag(onnx.GraphProto, "initializer") + _varint(len(before) + len(raw)) + before
        if (position + len(head)) % _ALIGNMENT == 0:
            break
    return head + raw, len(head)


def _tag(message: type[onnx.ModelProto] | type[onnx.GraphProto] | type[onnx.TensorProto], field: str) -> bytes:
    return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | _LENGTH_DELIMITED)


def _varint(value: int, width: int = 1) -> bytes:
    """A number as protobuf writes it, in at least ``width`` bytes."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    groups += [0] * (width - len(groups))
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])
