"""scripts/average_models.py, run as a process on two small models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from toxitrace.config import EncoderConfig, ScratchConfig  # noqa: E402
from toxitrace.encoder.char_tokenizer import build_char_tokenizer  # noqa: E402
from toxitrace.encoder.folder import load_classifier, new_classifier, save_classifier  # noqa: E402
from toxitrace.settings import FoldOptions, ModelSettings  # noqa: E402

ROOT = Path(__file__).parent.parent


def _model(folder: Path, seed: int, texts: str = "今天天气不错你真是个笨蛋", hidden: int = 32) -> Path:
    torch.manual_seed(seed)
    size = ScratchConfig(layers=1, hidden=hidden, heads=2, feed_forward=32, max_positions=32, min_count=1)
    encoder = EncoderConfig(scratch=size, max_tokens=16)
    classifier, raw = new_classifier(encoder, build_char_tokenizer([texts], 100, 1, FoldOptions()))
    settings = ModelSettings(max_tokens=16, threshold=0.3, training={"seed": seed}, notes={"steps": 7})
    save_classifier(classifier, raw, settings, folder)
    return folder


def _average(*folders: Path, output: Path, weights: str = "") -> subprocess.CompletedProcess[str]:
    flags = ["--weights", *weights.split()] if weights else []
    command = [sys.executable, ROOT / "scripts/average_models.py", *folders, "--output", output, *flags]
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_weight_is_the_mean_and_the_record_says_of_what(tmp_path: Path) -> None:
    one, two = _model(tmp_path / "one", 1), _model(tmp_path / "two", 2)
    assert _average(one, two, output=tmp_path / "mean", weights="1 2").returncode == 0
    a, b, mean = (load_file(folder / "model.safetensors") for folder in (one, two, tmp_path / "mean"))
    for name, value in mean.items():
        torch.testing.assert_close(value, (a[name] + 2 * b[name]) / 3)
    load_classifier(tmp_path / "mean")
    settings = json.loads((tmp_path / "mean/toxitrace.json").read_text("utf-8"))
    assert [part["training"]["seed"] for part in settings["notes"]["mean_of"]] == [1, 2]
    assert [part["share"] for part in settings["notes"]["mean_of"]] == [0.3333, 0.6667]
    assert settings["threshold"] == 0.5  # nobody's threshold is that of the mean


@pytest.mark.parametrize(
    ("other", "complaint"), [({"texts": "早上好你真是个笨蛋"}, "in another way"), ({"hidden": 64}, "different sizes")]
)
def test_models_that_do_not_belong_together_are_refused(
    tmp_path: Path, other: dict[str, object], complaint: str
) -> None:
    one, two = _model(tmp_path / "one", 1), _model(tmp_path / "two", 2, **other)  # type: ignore[arg-type]
    done = _average(one, two, output=tmp_path / "mean")
    assert done.returncode == 1
    assert complaint in done.stderr
    assert not (tmp_path / "mean").exists()


@pytest.mark.parametrize("weights", ["1", "1 0", "1 2 3"])
def test_every_model_needs_a_weight_above_zero(tmp_path: Path, weights: str) -> None:
    one = _model(tmp_path / "one", 1)
    done = _average(one, one, output=tmp_path / "mean", weights=weights)
    assert done.returncode == 2
    assert "expected one above 0 for each of 2 models" in done.stderr


def test_models_with_ngrams_that_judge_are_refused(tmp_path: Path) -> None:
    one = _model(tmp_path / "one", 1)
    weights = load_file(one / "model.safetensors") | {"ngram_margin.bias": torch.zeros(1)}
    save_file(weights, one / "model.safetensors", metadata={"format": "pt"})
    done = _average(one, one, output=tmp_path / "mean")
    assert done.returncode == 1
    assert "average encoders, then scripts/add_ngram_margin.py" in done.stderr
