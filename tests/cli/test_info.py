import json
from pathlib import Path

import pytest

from toxitrace.cli import info
from toxitrace.cli.main import main


def test_json_has_versions_hardware_and_the_model(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json", "--model", str(export)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["model"]["backend"] == "onnx"
    assert facts["model"]["max_tokens"] == 10
    assert facts["versions"]["tokenizers"]
    assert facts["hardware"]["cores"] >= 1


def test_tables_name_the_settings(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", str(export)]) == 0
    shown = capsys.readouterr().out
    assert "max_tokens" in shown
    assert "versions" in shown
    assert "hardware" in shown


def test_a_folder_that_is_no_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("toxitrace: error: ")


def test_cpu_features_are_read_from_the_system(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name : A CPU\nflags : sse avx2 amx_bf16\n\nmodel name : B\nflags : sse\n")
    facts = info._hardware(cpuinfo)
    assert facts["cpu"] == "A CPU"
    assert facts["cpu_features"] == ["avx2", "amx_bf16"]
    assert "cpu" not in info._hardware(tmp_path / "absent")
