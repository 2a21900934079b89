"""The examples of exports/README.md run, and its configurations fit the graphs."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import toxitrace

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "exports" / "README.md"
EXPORT = ROOT / "exports" / "default"
pytestmark = pytest.mark.skipif(
    not (PAGE.exists() and (EXPORT / "model.onnx").exists()), reason="the page or exports/default is not here"
)
TEXTS = ["你真是个笨蛋，闭上你的臭嘴", "今天天气不错", "说实话，隔壁老王就是个大骗子。", "", "早" * 300]


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run_block(mark: str) -> dict[str, Any]:
    """Execute the one Python block that holds ``mark``; what it leaves behind comes back."""
    (block,) = (block for block in blocks("python") if mark in block)
    space: dict[str, Any] = {"__name__": "example"}
    exec(compile(block, str(PAGE), "exec"), space)
    return space


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_every_python_block_is_run_by_a_test_of_this_file() -> None:
    marks = ("import pandas", "from datasets", "import tritonclient")
    assert [sum(mark in block for mark in marks) for block in blocks("python")] == [1, 1, 1]


def test_the_pandas_example_keeps_rows_and_marks_words() -> None:
    pytest.importorskip("pandas")
    frame = run_block("import pandas")["frame"]
    assert frame["toxic"].isna().tolist() == [False, True, False]
    assert [frame["toxic"][0], frame["toxic"][2]] == [False, True]
    assert frame["spans"][2]
    for span in frame["spans"][2]:
        assert frame["text"][2][span["start"] : span["end"]] == span["text"]


def test_the_datasets_example_has_types_that_fit_every_batch() -> None:
    pytest.importorskip("datasets")
    space = run_block("from datasets")
    rows = space["scored"].to_list()
    assert [(row["id"], row["toxic"], bool(row["spans"])) for row in rows] == [
        (1, False, False),
        (2, False, False),
        (3, True, True),
    ]
    one_by_one = space["dataset"].map(space["score"], batched=True, batch_size=1, features=space["features"])
    assert [row["toxic"] for row in one_by_one.to_list()] == [False, False, True]


class StandIn(ModuleType):
    """``tritonclient.http`` whose server is onnxruntime, and which holds clients to config.pbtxt."""

    def __init__(self) -> None:
        super().__init__("tritonclient.http")
        import onnxruntime

        session = onnxruntime.InferenceSession
        self.sessions = {
            "toxitrace": session(EXPORT / "model.onnx"),
            "toxitrace_classifier": session(EXPORT / "classifier.onnx"),
        }
        self.shapes: set[tuple[int, ...]] = set()
        stand_in = self

        class InferInput:
            def __init__(self, name: str, shape: list[int], datatype: str) -> None:
                self.name, self.shape, self.datatype = name, shape, datatype

            def set_data_from_numpy(self, rows: np.ndarray) -> None:
                assert (self.datatype, rows.dtype, list(rows.shape)) == ("INT64", np.int64, self.shape)
                assert len(rows) <= 64
                self.rows = rows

        class InferRequestedOutput:
            def __init__(self, name: str) -> None:
                self.name = name

        class InferenceServerClient:
            def __init__(self, url: str) -> None:
                assert "://" not in url

            def infer(self, model: str, inputs: list[InferInput], outputs: list[InferRequestedOutput]) -> Any:
                stand_in.shapes.add(tuple(inputs[0].shape))
                names = [one.name for one in outputs]
                found = stand_in.sessions[model].run(names, {one.name: one.rows for one in inputs})
                # dims [ 1 ] with reshape [ ]: the server gives (B, 1) where the graph gives (B,)
                shaped = [value.reshape(len(value), -1) for value in found]
                return type("Answer", (), {"as_numpy": lambda _, name: shaped[names.index(name)]})()

        self.InferInput, self.InferRequestedOutput = InferInput, InferRequestedOutput
        self.InferenceServerClient = InferenceServerClient


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    package = ModuleType("tritonclient")
    package.http = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tritonclient", package)
    monkeypatch.setitem(sys.modules, "tritonclient.http", stand_in)
    return stand_in


def test_the_triton_client_finds_what_a_local_detector_finds(triton: StandIn) -> None:
    space = run_block("import tritonclient")
    assert [prediction.toxic for prediction in space["predictions"]] == [True, False]
    texts = TEXTS + [f"你真是个笨蛋{i}" for i in range(70)]  # more than one request holds
    local = toxitrace.load(EXPORT, threads=1).predict(texts)
    for found, wanted in zip(space["detector"].predict(texts), local, strict=True):
        assert found.probability == pytest.approx(wanted.probability, abs=1e-5)
        assert [(span.start, span.end) for span in found.spans] == [(span.start, span.end) for span in wanted.spans]
    assert all(shape[1] % 32 == 0 for shape in triton.shapes)
    assert max(shape[0] for shape in triton.shapes) == 64


def test_the_triton_configurations_name_what_the_graphs_have(triton: StandIn) -> None:
    configs = blocks("pbtxt")
    assert len(configs) == 2
    kinds = {"TYPE_INT64": "tensor(int64)", "TYPE_FP32": "tensor(float)"}
    for config in configs:
        (model,) = re.findall(r'^name: "(\w+)"', config, re.MULTILINE)
        session = triton.sessions[model]
        nodes = {node.name: node for node in [*session.get_inputs(), *session.get_outputs()]}
        described = re.findall(r'\{ name: "(\w+)" data_type: (\w+) dims: \[ (-?\d+) \]( reshape)?', config)
        assert {name: kinds[kind] for name, kind, _, _ in described} == {
            name: node.type for name, node in nodes.items()
        }
        for name, _, size, reshaped in described:
            # The batch dimension is Triton's own; a graph's (B,) is [ 1 ] with a reshape.
            assert (len(nodes[name].shape) == 1, size == "1") == (bool(reshaped), bool(reshaped)), name


def test_the_triton_configurations_parse_as_tritons_own_type() -> None:
    reason = "tritonclient[grpc] is no dependency; it has Triton's ModelConfig"
    model_config = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason=reason)
    from google.protobuf import text_format

    for block in blocks("pbtxt"):
        config = text_format.Parse(block, model_config.ModelConfig())
        assert (config.backend, config.max_batch_size) == ("onnxruntime", 64)
        assert [list(one.dims) for one in config.input] == [[-1], [-1]]
        assert all(one.HasField("reshape") and not one.reshape.shape for one in config.output if one.dims == [1])
        assert config.HasField("dynamic_batching")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("toxitrace predict", ["-m", "toxitrace", "predict"]),
        ("scripts/score_with_ray.py", ["scripts/score_with_ray.py"]),
    ],
)
def test_commands_of_the_page_have_the_flags_it_uses(command: str, arguments: list[str]) -> None:
    if "ray" in command:
        pytest.importorskip("pyarrow")
    lines = "".join(blocks("console")).replace("\\\n", " ").splitlines()
    used = {flag for line in lines if command in line for flag in re.findall(r"--[\w-]+", line)}
    shown = subprocess.run([sys.executable, *arguments, "--help"], capture_output=True, text=True, check=True).stdout
    assert used
    assert used <= set(re.findall(r"--[\w-]+", shown))
