"""LLM-QE from end to end on a tiny set: with a local language model, and with a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sentence_transformers")
pytest.importorskip("trl")

from local_service import Asked, LocalService

from toxitrace.cli.expand import build_parser
from toxitrace.cli.expand import run as expand


def run_flags(retrieval_set: Path, encoder: Path, output: Path) -> list[str]:
    values: dict[str, Any] = {
        "data": retrieval_set,
        "encoder": encoder,
        "output": output,
        "sampling.temperatures": "[0.8,1.1]",
        "sampling.samples": 2,
        "sampling.max_new_tokens": 8,
        "expansion.max_new_tokens": 8,
        "gate": -2.0,
        "training.epochs": 2,
        "training.batch_size": 4,
        "training.max_tokens": 32,
        "training.lr": 1e-3,
        "dpo.max_steps": 2,
        "dpo.batch_size": 4,
        "dpo.max_tokens": 96,
        "dpo.precision": "32-true",
    }
    return ["run", *(word for name, value in values.items() for word in (f"--{name}", str(value)))]


def call(arguments: list[str]) -> int:
    return expand(build_parser().parse_args(arguments))


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_whole_pipeline_runs_with_a_local_model_and_keeps_finished_stages(
    retrieval_set: Path, encoder: Path, lm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    flags = [*run_flags(retrieval_set, encoder, output), "--ask.llm", f"local:{lm}"]
    assert call(flags) == 0
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    assert list(report["systems"]) == ["bm25", "bm25-expanded", "dense", "hybrid"]
    assert report["part"] == "tiny/dev"
    assert len(report["systems"]["bm25"]["per_query"]["ndcg@10"]) == 8
    assert (output / "lm-dpo" / "adapter").is_dir()
    pairs = rows(output / "preferences.jsonl")
    assert pairs
    assert all(pair["reward_chosen"] > pair["reward_rejected"] for pair in pairs)
    assert all(pair["prompt"].endswith("\n短文：") for pair in pairs)
    written = rows(output / "expansions-dev.jsonl")
    assert [row["id"] for row in written] == [f"q{n}-{m}" for n in range(4) for m in range(2)]
    assert all(row["model"].startswith("local:lm-dpo@") for row in written)
    out = capsys.readouterr().out
    assert "tiny/dev, 8 queries" in out
    before = (output / "lm-dpo" / "model.safetensors").stat().st_mtime_ns
    assert call(flags) == 0
    assert (output / "lm-dpo" / "model.safetensors").stat().st_mtime_ns == before
    assert json.loads((output / "report.json").read_text(encoding="utf-8"))["systems"] == report["systems"]


def test_the_whole_pipeline_runs_with_a_service_and_without_dpo(
    retrieval_set: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def answer(asked: Asked) -> str:
        query = json.loads(asked.content)["query"]
        return f"好的，以下是一段短文：\n{query}就是这样的东西。"

    output = tmp_path / "run"
    with LocalService(answer) as service:
        flags = ["--ask.llm", "openai:any", "--ask.llm_url", service.openai_url]
        assert call([*run_flags(retrieval_set, encoder, output), *flags]) == 0
        assert service.n_requests == 24  # one expansion for every query of both splits
    texts = [row["candidates"][0]["text"] for row in rows(output / "expansions-train.jsonl")]
    assert all(text.endswith("就是这样的东西。") and "以下" not in text for text in texts)
    assert not (output / "lm-dpo").exists()
    assert (output / "report.json").is_file()


def test_a_folder_of_other_settings_is_refused(retrieval_set: Path, encoder: Path, tmp_path: Path, lm: Path) -> None:
    from toxitrace.errors import ConfigError

    output = tmp_path / "run"
    output.mkdir()
    (output / "run.json").write_text(json.dumps({"ask": {}, "seed": 5}))
    with pytest.raises(ConfigError, match="begun with other settings"):
        call([*run_flags(retrieval_set, encoder, output), "--ask.llm", f"local:{lm}"])
