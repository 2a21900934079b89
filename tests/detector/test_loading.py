import shutil
import sys
from pathlib import Path

import pytest
from fake_model import SETTINGS, FakeBackend, text_tokenizer, write_export

import toxitrace
from toxitrace.detector import Detector, default, loading
from toxitrace.errors import ConfigError, MissingExtraError, ModelError

pytest.importorskip("onnx")
TEXTS = ["你真是个笨蛋", "早上好", "", "滚", "早上好" * 9 + "滚。"]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(tmp_path_factory.mktemp("export"))


@pytest.fixture
def broken(export: Path, tmp_path: Path) -> Path:
    return shutil.copytree(export, tmp_path / "broken")


@pytest.mark.parametrize("classifier", [True, False])
def test_an_export_scores_like_the_model_it_was_made_from(tmp_path: Path, classifier: bool) -> None:
    detector = loading.load(write_export(tmp_path / "export", classifier=classifier), threads=1)
    assert detector.backend.name == "onnx"
    assert detector.predict(TEXTS) == Detector(FakeBackend(), text_tokenizer(), SETTINGS).predict(TEXTS)


def test_the_threshold_of_the_caller_wins(export: Path) -> None:
    assert loading.load(export).threshold == 0.5
    assert loading.load(export, threshold=0.9).threshold == 0.9


@pytest.mark.parametrize("options", [{"threads": 0}, {"threshold": 2.0}, {"backend": "tpu"}])
def test_impossible_options_are_refused(export: Path, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        loading.load(export, **options)


@pytest.mark.parametrize("name", ["model.onnx", "classifier.onnx", "tokenizer.json", "toxitrace.json"])
def test_a_truncated_file_is_one_clear_line(broken: Path, name: str) -> None:
    content = (broken / name).read_bytes()
    (broken / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=name.replace(".", r"\.")) as caught:
        loading.load(broken)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "toxitrace.json"])
def test_a_missing_file_is_named(broken: Path, name: str) -> None:
    (broken / name).unlink()
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        loading.load(broken)


def test_a_graph_with_other_outputs_is_refused(broken: Path) -> None:
    shutil.copy(broken / "classifier.onnx", broken / "model.onnx")
    with pytest.raises(ModelError, match=r"outputs \['margin'\]; expected"):
        loading.load(broken)


def test_a_folder_that_is_no_model_and_a_file_are_refused(tmp_path: Path, export: Path) -> None:
    for wrong in (tmp_path, tmp_path / "absent", export / "model.onnx", "no such model"):
        with pytest.raises(ModelError):
            loading.load(wrong)


def test_weights_for_torch_without_torch_name_the_extra(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (broken / "model.onnx").rename(broken / "model.safetensors")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"toxitrace\[train\]"):
        loading.load(broken)


def test_a_hub_name_without_a_hub_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install huggingface_hub"):
        loading.load("owner/model")


def test_a_hub_that_fails_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def fail(name: str, **options: object) -> str:
        raise OSError("no route\nto the host")

    monkeypatch.setattr(hub, "snapshot_download", fail)
    with pytest.raises(ModelError, match=r"'owner/model' is no folder here, and the hub did not give it: no route$"):
        loading.load("owner/model")


def test_without_a_default_model_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "default_model", lambda: None)
    with pytest.raises(ModelError, match="toxitrace train"):
        loading.load()


def test_the_shortcuts_load_the_default_model_once(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "default_model", lambda: export)
    default.default_detector.cache_clear()
    try:
        assert [span.text for span in toxitrace.predict_spans("你真是个笨蛋")] == ["笨蛋"]
        assert [row.toxic for row in toxitrace.predict(["滚", "早上好"])] == [True, False]
        assert default.default_detector() is default.default_detector()
    finally:
        default.default_detector.cache_clear()


def test_copies_have_one_fingerprint_and_changed_models_another(export: Path, broken: Path) -> None:
    assert loading.fingerprint(export) == loading.fingerprint(broken)
    (broken / "toxitrace.json").write_text("{}")
    assert loading.fingerprint(export) != loading.fingerprint(broken)
