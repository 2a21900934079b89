"""The command line and the shipped recipes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from toxitrace.cli.expand import build_parser
from toxitrace.cli.expand import run as expand
from toxitrace.cli.settings_parser import build_config
from toxitrace.errors import ConfigError
from toxitrace.expand.config import DPOTraining, EvaluateConfig, RunConfig, TrainRetrieverConfig

CONFIGS = Path(__file__).parent.parent.parent / "configs"
RECIPES = {
    "expand-cmrc.yaml": ("run", RunConfig),
    "expand-beir.yaml": ("evaluate", EvaluateConfig),
    "expand-retriever.yaml": ("train-retriever", TrainRetrieverConfig),
}


def names(value: Any) -> Any:
    return {key: names(inner) for key, inner in value.items()} if isinstance(value, dict) else None


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_names_every_setting_and_is_read_as_it_stands(recipe: str) -> None:
    task, kind = RECIPES[recipe]
    path = CONFIGS / recipe
    namespace = build_parser().parse_args([task, "--config", str(path)])
    config = build_config(namespace[task], kind)
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    resolved = dataclasses.asdict(config)  # type: ignore[call-overload]
    assert names(written) == names(resolved)


def test_the_papers_values_are_the_defaults() -> None:
    settings = DPOTraining().settings()
    assert (settings.lr, settings.beta, settings.epochs, settings.batch_size) == (2e-5, 0.1, 2.0, 16)
    assert settings.lora is not None
    assert (settings.lora.r, settings.lora.alpha, settings.lora.dropout) == (8, 32, 0.1)
    assert DPOTraining(lora_r=0).settings().lora is None
    run = RunConfig(data="d", output="o", encoder="e")
    assert len(run.sampling.draws()) == 32
    assert (run.training.temperature, run.training.lr, run.gate) == (0.02, 3e-5, 0.6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected one of candidates"),
        (["candidates", "--output", "x"], "--data is missing"),
        (["candidates", "--dta", "x"], "see toxitrace expand candidates --help"),
        (["evaluate", "--data", "x", "--systems", "[dense]"], "expected --retriever"),
        (["evaluate", "--data", "x", "--systems", "[bm52]"], "expected some of bm25"),
        (
            ["train-retriever", "--data", "x", "--encoder", "e", "--output", "o", "--training.query", "mean"],
            "--expansions",
        ),
        (["candidates", "--data", "x", "--output", "o", "--sampling.temperatures", "[1.0,1.0]"], "each once"),
    ],
)
def test_a_wrong_call_says_what_was_expected(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        expand(build_parser().parse_args(arguments))


def test_nobody_to_ask_is_an_error_before_anything_is_written(retrieval_set: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    arguments = ["candidates", "--data", str(retrieval_set), "--output", str(output)]
    with pytest.raises(ConfigError, match="no language model is named"):
        expand(build_parser().parse_args(arguments))
    assert not output.exists()


def test_an_evaluation_prints_its_table_to_stdout(retrieval_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert expand(build_parser().parse_args(["evaluate", "--data", str(retrieval_set), "--split", "dev"])) == 0
    out = capsys.readouterr().out
    assert "tiny/dev, 8 queries" in out
    assert "bm25" in out
