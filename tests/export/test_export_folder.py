"""Export folders against the torch model they were made from."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from export_models import SETTINGS, TEXTS, bert, scatter, tokenizer, write_model
from torch import nn
from transformers import RobertaConfig, RobertaForSequenceClassification

from toxitrace.detector.loading import load
from toxitrace.encoder import load_classifier
from toxitrace.errors import ConfigError, ModelError
from toxitrace.export import Differences, export_model, folder
from toxitrace.export.graph import build_graph
from toxitrace.export.onnx import to_onnx
from toxitrace.export.verify import _inputs, measure, require_exact
from toxitrace.saliency import saliency_pass
from toxitrace.settings import load_settings, save_settings

FILES = ["classifier.onnx", "model.onnx", "tokenizer.json", "toxitrace.json"]
EXACT = Differences(margin=1e-7, saliency=1e-7, probability=1e-7, classifier_margin=1e-7)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def traced(model: Path) -> Callable[[nn.Module], onnx.ModelProto]:
    """The exporter, asked once for each graph of ``model``: it takes seconds."""
    classifier = load_classifier(model)
    settings = load_settings(model)
    graphs = {
        gradients: to_onnx(build_graph(classifier, settings.calibration, settings.saliency, gradients))
        for gradients in (True, False)
    }
    return lambda graph: folder._copy(graphs[getattr(graph, "gradients", True)])


@pytest.fixture(scope="module")
def exports(
    model: Path, traced: Callable[[nn.Module], onnx.ModelProto], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("exports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "to_onnx", traced)
        return {name: export_model(model, root / name, name).folder for name in ("fp32", "fp16", "int8")}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, traced: Callable[[nn.Module], onnx.ModelProto]) -> None:
    monkeypatch.setattr(folder, "to_onnx", traced)


def run(path: Path, input_ids: Any, attention_mask: Any) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()})


def batches(model: Path) -> list[tuple[Any, Any]]:
    return list(_inputs(load_classifier(model), 20, seed=7))


def test_an_export_holds_four_files_and_nothing_else_is_left(exports: dict[str, Path]) -> None:
    assert sorted(path.name for path in exports["fp32"].iterdir()) == FILES
    assert sorted(path.name for path in exports["fp32"].parent.iterdir()) == ["fp16", "fp32", "int8"]


def test_margin_probability_and_saliency_are_torchs_at_every_shape(model: Path, exports: dict[str, Path]) -> None:
    classifier = load_classifier(model).double()
    for input_ids, attention_mask in batches(model):
        margin, probability, saliency = run(exports["fp32"] / "model.onnx", input_ids, attention_mask)
        wanted = saliency_pass(classifier, input_ids, attention_mask)
        wanted_margin = (wanted.logits[:, 1] - wanted.logits[:, 0]).numpy()
        np.testing.assert_allclose(margin, wanted_margin, atol=1e-4)
        np.testing.assert_allclose(probability, 1 / (1 + np.exp(-(0.7 * wanted_margin - 0.4))), atol=1e-5)
        np.testing.assert_allclose(saliency, wanted.saliency.numpy(), atol=1e-4 * wanted.saliency.max().item())
        assert not saliency[attention_mask.numpy() == 0].any()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_forward_only_graph_gives_the_margins_of_the_full_one(
    model: Path, exports: dict[str, Path], precision: str
) -> None:
    for batch in batches(model):
        full = run(exports[precision] / "model.onnx", *batch)
        forward = run(exports[precision] / "classifier.onnx", *batch)
        assert len(forward) == 2
        for found, wanted in zip(forward, full, strict=False):
            np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_forward_only_graph_reads_its_weights_from_the_full_one(exports: dict[str, Path], precision: str) -> None:
    path = exports[precision] / "classifier.onnx"
    inside = onnx.load(path, load_external_data=False)
    shared = [tensor for tensor in inside.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    places = [{entry.key: entry.value for entry in tensor.external_data} for tensor in shared]
    assert {place["location"] for place in places} == {"model.onnx"}
    assert all(int(place["offset"]) % 64 == 0 for place in places)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path.with_name("model.onnx")).graph.initializer}
    for tensor in onnx.load(path).graph.initializer:  # onnx follows the pointers by itself
        if tensor.name in {one.name for one in shared}:
            np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), weights[tensor.name])
    assert sum(int(place["length"]) for place in places) > 0.9 * sum(t.nbytes for t in weights.values())


def test_weights_are_stored_once_and_at_half_size_in_fp16(model: Path, exports: dict[str, Path]) -> None:
    weights = (model / "model.safetensors").stat().st_size
    sizes = {name: (path / "model.onnx").stat().st_size for name, path in exports.items()}
    nodes = 150_000  # the graphs themselves, however small the model
    assert sizes["fp32"] < weights + nodes
    assert sizes["fp32"] - sizes["fp16"] > 0.4 * weights
    assert sizes["int8"] == sizes["fp32"]


def test_reduced_precision_says_what_it_lost(model: Path, exports: dict[str, Path]) -> None:
    losses = {name: load_settings(path).notes["export"]["differences"] for name, path in exports.items()}
    assert max(losses["fp32"].values()) <= 1e-4
    assert losses["fp32"]["saliency"] < losses["fp16"]["saliency"] < 0.05
    assert losses["int8"]["saliency"] == losses["fp32"]["saliency"]  # only the forward-only graph is quantised
    assert losses["fp32"]["classifier_margin"] < losses["int8"]["classifier_margin"] < 0.5
    again = measure(exports["int8"], load_classifier(model), SETTINGS)
    assert again.to_dict() == pytest.approx(losses["int8"], rel=1e-3, abs=1e-6)


def test_int8_products_run_on_integers(exports: dict[str, Path]) -> None:
    graph = onnx.load(exports["int8"] / "classifier.onnx").graph
    kinds = {node.op_type for node in graph.node}
    assert "MatMulInteger" in kinds
    assert "Gemm" not in kinds


def test_settings_keep_the_models_and_record_the_export(exports: dict[str, Path]) -> None:
    settings = load_settings(exports["fp16"])
    note = settings.notes["export"]
    assert replace(settings, notes=SETTINGS.notes) == SETTINGS
    assert note["precision"] == "fp16"
    assert settings.notes["steps"] == 3
    assert {"torch", "onnxruntime"} <= note["versions"].keys()
    for name, digest in note["sha256"].items():
        assert hashlib.sha256((exports["fp16"] / name).read_bytes()).hexdigest() == digest
    assert load_settings(exports["fp32"]).notes["export"]["tolerance"] == 1e-4


def test_onnx_finds_no_fault_with_the_graphs(exports: dict[str, Path]) -> None:
    for path in exports.values():
        onnx.checker.check_model(str(path / "model.onnx"), full_check=True)
        onnx.checker.check_model(str(path / "classifier.onnx"))


def test_the_files_name_nothing_of_the_machine_that_wrote_them(exports: dict[str, Path]) -> None:
    for name in ("model.onnx", "classifier.onnx"):
        content = (exports["fp32"] / name).read_bytes()
        assert b"site-packages" not in content
        assert str(Path(__file__).parent.parent.parent).encode() not in content


_SCORE = """
import json, sys
for blocked in ("torch", "transformers", "onnx", "onnxscript", "sklearn", "lightning", "safetensors"):
    sys.modules[blocked] = None
import toxitrace
detector = toxitrace.load(sys.argv[1], threads=1)
rows = detector.predict(json.load(sys.stdin), force_spans=True)
json.dump([[row.probability, [[span.start, span.end] for span in row.spans]] for row in rows], sys.stdout)
"""


def test_an_export_scores_without_torch_as_the_model_does_with_it(model: Path, exports: dict[str, Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCORE, str(exports["fp32"])],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    wanted = load(model, backend="torch").predict(TEXTS, force_spans=True)
    np.testing.assert_allclose([row[0] for row in found], [row.probability for row in wanted], atol=1e-4)
    assert [row[1] for row in found] == [[[span.start, span.end] for span in row.spans] for row in wanted]
    assert {row.toxic for row in wanted} == {True, False}


def test_gradient_times_input_is_exported_when_the_model_says_so(tmp_path: Path) -> None:
    source = write_model(tmp_path / "model", layers=1)
    graph = to_onnx(build_graph(load_classifier(source), SETTINGS.calibration, "grad_x_input"))
    onnx.save(graph, tmp_path / "model.onnx")
    input_ids, attention_mask = batches(source)[-1]
    saliency = run(tmp_path / "model.onnx", input_ids, attention_mask)[2]
    wanted = saliency_pass(load_classifier(source).double(), input_ids, attention_mask, kind="grad_x_input").saliency
    np.testing.assert_allclose(saliency, wanted.numpy(), atol=1e-4 * wanted.max().item())


def test_an_architecture_that_is_not_bert_is_exported_too(tmp_path: Path) -> None:
    config = RobertaConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
        num_labels=2,
    )
    classifier = scatter(RobertaForSequenceClassification(config))
    onnx.save(to_onnx(build_graph(classifier, SETTINGS.calibration)), tmp_path / "model.onnx")
    for input_ids, attention_mask in _inputs(classifier, 20, seed=7):
        margin, _, saliency = run(tmp_path / "model.onnx", input_ids, attention_mask)
        wanted = saliency_pass(classifier, input_ids, attention_mask)
        np.testing.assert_allclose(margin, wanted.logits[:, 1] - wanted.logits[:, 0], atol=1e-4)
        np.testing.assert_allclose(saliency, wanted.saliency, atol=1e-4 * wanted.saliency.max().item())


def test_a_graph_that_differs_is_refused_and_nothing_is_left(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    monkeypatch.setattr(folder, "load_classifier", lambda source: bert(tokenizer().get_vocab_size(), seed=1))
    with pytest.raises(ModelError, match=r"differs from torch by margin .* nothing was written") as caught:
        export_model(model, tmp_path / "export")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["margin", "saliency", "probability", "classifier_margin", "ngram_evidence"])
@pytest.mark.parametrize("wrong", [2e-4, float("nan"), float("inf")])
def test_every_difference_above_the_tolerance_is_refused(name: str, wrong: float) -> None:
    require_exact(EXACT)
    with pytest.raises(ModelError, match=name):
        require_exact(replace(EXACT, **{name: wrong}))


def test_a_refused_export_leaves_the_earlier_one_as_it_was(
    model: Path, exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    before = {path.name: path.read_bytes() for path in exports["fp32"].iterdir()}
    monkeypatch.setattr(folder, "measure", lambda *inputs: replace(EXACT, margin=1.0))
    with pytest.raises(ModelError):
        export_model(model, exports["fp32"])
    assert {path.name: path.read_bytes() for path in exports["fp32"].iterdir()} == before


def test_a_second_export_replaces_the_first_with_the_same_bytes(model: Path, tmp_path: Path, quick: None) -> None:
    export_model(model, tmp_path / "export")
    before = {path.name: path.read_bytes() for path in (tmp_path / "export").iterdir()}
    export_model(model, tmp_path / "export")
    assert {path.name: path.read_bytes() for path in (tmp_path / "export").iterdir()} == before


def test_files_of_two_exports_are_told_apart(tmp_path: Path, exports: dict[str, Path]) -> None:
    for name in FILES:
        source = exports["fp16" if name == "classifier.onnx" else "fp32"]
        (tmp_path / name).write_bytes((source / name).read_bytes())
    with pytest.raises(ModelError, match=r"classifier\.onnx"):
        load(tmp_path)


def test_weights_too_large_for_fp16_are_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traced: Callable[[nn.Module], onnx.ModelProto]
) -> None:
    graph = traced(nn.Identity())
    tensor = next(t for t in graph.graph.initializer if t.name.endswith("words"))
    tensor.raw_data = (onnx.numpy_helper.to_array(tensor) * 1e6).tobytes()
    with pytest.raises(ModelError, match=r"words reaches .* export with fp32"):
        folder.halve(graph)


def test_impossible_requests_are_refused(model: Path, exports: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the model itself"):
        export_model(model, model)
    with pytest.raises(ConfigError, match="is a file"):
        export_model(model, model / "config.json")
    with pytest.raises(ConfigError, match="expected one of fp32, fp16, int8"):
        export_model(model, tmp_path / "export", "bf16")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="is an export already"):
        export_model(exports["fp32"], tmp_path / "export")
    with pytest.raises(ConfigError, match="holds other files"):
        export_model(model, exports["fp32"].parent)
    with pytest.raises(ModelError, match=r"toxitrace\.json"):
        export_model(tmp_path, tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_words_travels_with_the_model(model: Path, tmp_path: Path, quick: None) -> None:
    source = tmp_path / "source"
    shutil.copytree(model, source)
    save_settings(replace(load_settings(model), word_share=0.5), source)
    with pytest.raises(ModelError, match=r"no words.txt.*count_words.py"):
        export_model(source, tmp_path / "export")
    (source / "words.txt").write_text("笨蛋\t3\n", encoding="utf-8")
    export_model(source, tmp_path / "export")
    assert (tmp_path / "export" / "words.txt").read_text(encoding="utf-8") == "笨蛋\t3\n"
    assert "words.txt" in load_settings(tmp_path / "export").notes["export"]["sha256"]
    export_model(model, tmp_path / "export")  # a model without words leaves none behind
    assert not (tmp_path / "export" / "words.txt").exists()
