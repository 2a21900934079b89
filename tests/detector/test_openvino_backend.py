"""OpenVINO on the graphs of a real export against onnxruntime."""

import ctypes
import gc
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_model import FakeBackend, text_tokenizer, write_export

from toxitrace.detector import Detector, loading, openvino_backend
from toxitrace.detector.batching import pad
from toxitrace.detector.openvino_backend import OpenVINOBackend
from toxitrace.errors import ConfigError, MissingExtraError, ModelError
from toxitrace.settings import ModelSettings

pytest.importorskip("onnx")
TEXTS = ["你真是个笨蛋", "早上好", "", "滚", "早上好" * 9 + "滚。"]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("openvino", reason="openvino is not installed")
    return write_export(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def detector(export: Path) -> Detector:
    return loading.load(export, backend="openvino", threads=1)


def test_verdicts_and_spans_are_onnxruntimes(detector: Detector, export: Path) -> None:
    assert detector.backend.name == "openvino"
    exact = loading.load(export, backend="onnx", threads=1).predict(TEXTS)
    for found, wanted in zip(detector.predict(TEXTS), exact, strict=True):
        assert (found.toxic, [s.text for s in found.spans]) == (wanted.toxic, [s.text for s in wanted.spans])
        assert found.probability == pytest.approx(wanted.probability, abs=0.01)  # bf16 where the processor has it


def test_an_answer_outlives_the_next_question(detector: Detector) -> None:
    first, _ = detector.backend.saliency(pad([[5, 6, 7]], 0))
    kept = first.copy()
    detector.backend.saliency(pad([[11, 11, 11]], 0))
    np.testing.assert_array_equal(first, kept)


def test_padding_weighs_nothing(detector: Detector) -> None:
    _, weights = detector.backend.saliency(pad([[2, 9, 10, 3], [2, 3]], 0))
    assert not weights[1, 2:].any()


def test_an_int8_export_is_refused(export: Path, tmp_path: Path) -> None:
    folder = write_export(tmp_path / "int8", ModelSettings(max_tokens=10, notes={"export": {"precision": "int8"}}))
    with pytest.raises(ConfigError, match="--backend onnx"):
        loading.load(folder, backend="openvino")


def test_a_damaged_graph_is_one_clear_line(export: Path, tmp_path: Path) -> None:
    folder = write_export(tmp_path / "export")
    (folder / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"model\.onnx") as caught:
        loading.load(folder, backend="openvino")
    assert "\n" not in str(caught.value)


def test_without_openvino_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_backend, "_core", openvino_backend._core.__wrapped__)  # the cached one lives on
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match="openvino"):
        loading.load(write_export(tmp_path / "export"), backend="openvino")


def test_the_fake_backend_is_the_reference(detector: Detector) -> None:
    reference = Detector(FakeBackend(), text_tokenizer(), detector.settings)
    assert [row.toxic for row in detector.predict(TEXTS)] == [row.toxic for row in reference.predict(TEXTS)]


def test_a_model_that_openvino_computes_otherwise_is_refused(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = OpenVINOBackend.saliency
    monkeypatch.setattr(
        OpenVINOBackend, "saliency", lambda self, batch: (wrong(self, batch)[0], wrong(self, batch)[1] / 2)
    )
    with pytest.raises(ModelError, match="another model than onnxruntime"):
        loading.load(export, backend="openvino")


def test_signals_are_handled_on_the_same_stack_after_models_have_gone(export: Path, detector: Detector) -> None:
    before = signal_stack()
    for _ in range(2):
        loading.load(export, backend="openvino", threads=1)
        gc.collect()
    assert signal_stack() == before != 0


def signal_stack() -> int:
    """Address of this thread's stack for signal handlers."""
    found = (ctypes.c_void_p * 3)()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found)) == 0
    return found[0] or 0
