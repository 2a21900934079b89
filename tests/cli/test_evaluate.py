import json
import shutil
from pathlib import Path

import pytest

from toxitrace.cli.main import main
from toxitrace.settings import load_settings

ROWS = [
    {"id": "a", "text": "你真是个笨蛋", "label": 1, "spans": [[4, 6]]},
    {"id": "b", "text": "滚远点", "label": 1, "spans": [[0, 1]]},
    {"id": "c", "text": "今天天气不错", "label": 0, "spans": []},
    {"id": "d", "text": "晚上一起吃面", "label": 0, "spans": []},
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "gold.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), encoding="utf-8")
    return path


@pytest.fixture
def model(export: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(export, tmp_path / "model"))


def test_a_model_that_knows_every_insult_scores_full_marks(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.json"
    arguments = ["evaluate", "--model", str(model), "--data", str(data), "--output", str(output), "--resamples", "20"]
    assert main([*arguments, "--faithfulness"]) == 0
    report = json.loads(output.read_text(encoding="utf-8"))
    assert report["classification"]["macro_f1"]["value"] == 1.0
    assert report["spans"]["character_f1"]["value"] == report["spans_forced"]["character_f1"]["value"] == 1.0
    assert report["faithfulness"]["comprehensiveness"]["value"] > 0
    assert report["settings"]["data_sha256"]
    assert "macro_f1" in capsys.readouterr().out


def test_tuned_values_are_stored_with_the_model(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = load_settings(model)
    assert main(["evaluate", "--model", str(model), "--data", str(data), "--tune", "--resamples", "20"]) == 0
    after = load_settings(model)
    assert set(after.notes["tuned"]) == {"bicse", "calibration", "threshold"}
    assert after.calibration != before.calibration
    assert "tuned on it" in capsys.readouterr().out


@pytest.mark.parametrize("flag", [["--tune"], ["--tune", "bicse"], ["--tune", "threshold"]])
def test_tuning_on_data_that_cannot_tell_is_one_line_and_changes_nothing(
    model: Path, tmp_path: Path, flag: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "poor.jsonl"
    path.write_text('{"id": "a", "text": "今天天气不错", "label": 0}\n', encoding="utf-8")
    before = (model / "toxitrace.json").read_bytes()
    assert main(["evaluate", "--model", str(model), "--data", str(path), *flag]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert (model / "toxitrace.json").read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate"],
        ["evaluate", "--data", "x.jsonl", "--output", "/nodir/x.json"],
        ["evaluate", "--tune", "all"],
        ["evaluate", "--data", "x.jsonl", "--threshold", "7"],
    ],
)
def test_wrong_usage_is_found_before_any_work(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("toxitrace: error: ")
