"""OpenVINO on the graphs of a real export against onnxruntime."""

import ctypes
import gc
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_model import FakeBackend, raw_tokenizer, text_tokenizer, write_export

from toxitrace.detector import Detector, loading, openvino_backend
from toxitrace.detector.backend import TokenBatch, Weighed
from toxitrace.detector.batching import pad
from toxitrace.detector.openvino_backend import OpenVINOBackend
from toxitrace.errors import ConfigError, MissingExtraError, ModelError
from toxitrace.settings import ModelSettings

pytest.importorskip("onnx")
TEXTS = ["你真是个笨蛋", "早上好", "", "滚", "早上好" * 9 + "滚。"]
MAX_TOKENS = 29


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
    first, *_ = detector.backend.saliency(pad([[5, 6, 7]], 0))
    kept = first.copy()
    detector.backend.saliency(pad([[11, 11, 11]], 0))
    np.testing.assert_array_equal(first, kept)


def test_padding_weighs_nothing(detector: Detector) -> None:
    _, weights, _ = detector.backend.saliency(pad([[2, 9, 10, 3], [2, 3]], 0))
    assert not weights[1, 2:].any()


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> OpenVINOBackend:
    """A real encoder that reads 29 tokens, which is no multiple of 8."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript comes with the train extra")
    from toxitrace.config import EncoderConfig, ScratchConfig
    from toxitrace.encoder import new_classifier, save_classifier
    from toxitrace.export import export_model

    folder = tmp_path_factory.mktemp("transformer")
    scratch = ScratchConfig(layers=2, hidden=32, heads=2, feed_forward=64, max_positions=MAX_TOKENS, vocab_size=24)
    classifier, _ = new_classifier(EncoderConfig(max_tokens=MAX_TOKENS, scratch=scratch), raw_tokenizer())
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for weight in classifier.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    save_classifier(classifier, raw_tokenizer(), ModelSettings(max_tokens=MAX_TOKENS), folder / "model")
    export_model(folder / "model", folder / "export")
    return OpenVINOBackend(folder / "export", vocab_size=24, threads=1)


@pytest.mark.parametrize("lengths", [[MAX_TOKENS], [5], [3, 9], [MAX_TOKENS, 7, 7, 7, 11], [17] * 6 + [2]])
def test_answers_are_those_without_even_shapes(
    transformer: OpenVINOBackend, lengths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    batch = pad([draw.integers(5, 24, length).tolist() for length in lengths], 0)
    margin, weights, _ = transformer.saliency(batch)
    forward = transformer.margins(batch)
    assert margin.shape == forward.shape == (len(lengths),)
    assert weights.shape == batch.input_ids.shape
    monkeypatch.setattr(openvino_backend, "with_even_shape", lambda batch, *_: batch)
    wanted_margin, wanted, _ = transformer.saliency(batch)
    np.testing.assert_allclose(margin, wanted_margin, atol=0.05 * np.abs(wanted_margin).max())  # bf16
    np.testing.assert_allclose(forward, wanted_margin, atol=0.05 * np.abs(wanted_margin).max())
    np.testing.assert_allclose(weights, wanted, atol=0.05 * wanted.max())


def test_a_batch_without_rows_has_no_answers(detector: Detector) -> None:
    empty = TokenBatch(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3), dtype=np.int64))
    margin, weights, _ = detector.backend.saliency(empty)
    assert (margin.shape, weights.shape, detector.backend.margins(empty).shape) == ((0,), (0, 3), (0,))


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
        OpenVINOBackend, "saliency", lambda self, batch: Weighed(wrong(self, batch)[0], wrong(self, batch)[1] / 2)
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
