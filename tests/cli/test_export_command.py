import sys
from pathlib import Path

import pytest

from toxitrace.cli.main import main

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
sys.path.insert(0, str(Path(__file__).parent.parent / "export"))

from export_models import write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), layers=1)


def test_a_model_is_exported_scored_and_its_sizes_and_differences_shown(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "exports" / "tiny"
    assert main(["export", "--model", str(model), "--output", str(target)]) == 0
    shown = capsys.readouterr().out
    for word in ("fp32", "model.onnx", "classifier.onnx", "MB", "margin", "saliency"):
        assert word in shown
    assert main(["predict", "--model", str(target), "昨天在公司"]) == 0


def test_without_torch_the_extra_is_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("toxitrace.export")]:
        monkeypatch.delitem(sys.modules, name)
    for missing in ("torch", "onnxscript"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            assert main(["export", "--model", str(model), "--output", str(tmp_path / "export")]) == 1
        assert f"{missing} is not installed; this needs the 'train' extra: pip install \"toxitrace[train]\"" in (
            capsys.readouterr().err
        )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--model", "absent", "--output", "out"], 1),
        (["--model", "MODEL"], 2),
        (["--output", "out"], 2),
        (["--model", "MODEL", "--output", "MODEL"], 2),
        (["--model", "MODEL", "--output", "out", "--precision", "fp8"], 2),
    ],
)
def test_what_cannot_be_done_is_one_line(
    model: Path, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *(str(model) if word == "MODEL" else word for word in arguments)]) == code
    message = capsys.readouterr().err
    assert message.startswith("toxitrace: error: ")
    assert message.count("\n") == 1
