"""The recipes of the trainings: complete, and the same after a round trip."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import ArgumentParser

from toxitrace.cli import explore_train
from toxitrace.cli.settings_parser import build_config
from toxitrace.errors import ConfigError
from toxitrace.explore.tasks.train_config import DPOTask, PretrainTask, SFTTask

CONFIGS = Path(__file__).parent.parent.parent / "configs"
KINDS: dict[str, tuple[Any, type[Any]]] = {
    "sft": (explore_train.sft_parser, SFTTask),
    "dpo": (explore_train.dpo_parser, DPOTask),
    "pretrain": (explore_train.pretrain_parser, PretrainTask),
}
RECIPES = [path for kind in KINDS for path in sorted(CONFIGS.glob(f"explore-{kind}*.yaml"))]


def parsed(kind: str, *arguments: str) -> Any:
    build, task = KINDS[kind]
    parser: ArgumentParser = build()
    parser.exit_on_error = False
    return build_config(parser.parse_args(list(arguments)), task)


def names(value: Any) -> Any:
    """The fields of a config, nested ones too."""
    return {key: names(inner) for key, inner in value.items()} if isinstance(value, dict) else None


def test_there_are_recipes_of_both_stages() -> None:
    assert {"explore-sft", "explore-dpo"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_names_every_setting_and_survives_a_round_trip(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = path.stem.split("-")[1]
    config = parsed(kind, "--config", str(path))
    assert names(yaml.safe_load(path.read_text(encoding="utf-8"))) == names(dataclasses.asdict(config))
    with pytest.raises(SystemExit):
        KINDS[kind][0]().parse_args(["--config", str(path), "--print_config"])
    written = tmp_path / "resolved.yaml"
    written.write_text(capsys.readouterr().out, encoding="utf-8")
    assert parsed(kind, "--config", str(written)) == config


def test_flags_win_over_the_recipe() -> None:
    recipe = str(CONFIGS / "explore-sft.yaml")
    config = parsed("sft", "--config", recipe, "--fit.lr", "3e-5", "--small.size.layers", "1", "--lora.r", "4")
    assert (config.fit.lr, config.small.size.layers, config.lora.r) == (3e-5, 1, 4)


def test_the_defaults_are_those_of_the_paper_as_methods_md_has_them() -> None:
    sft = SFTTask(items=("a",), queries="q", output="o").settings()  # type: ignore[arg-type]
    dpo = DPOTask(preferences=("p",), model="m", output="o").settings()  # type: ignore[arg-type]
    assert sft.lora is not None
    assert (sft.lora.r, sft.lora.alpha, sft.lr, sft.epochs) == (16, 32, 1e-4, 3.0)
    assert (dpo.beta, dpo.lr, dpo.epochs, dpo.lora) == (0.1, 1e-5, 1.0, sft.lora)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("sft", [], "--items is missing"),
        ("sft", ["--items", "a", "--queries", "q", "--output", "o", "--group_size", "0"], "--group_size is 0"),
        ("sft", ["--preferences", "p", "--output", "o"], "name its folder with --model"),
        ("sft", ["--preferences", "p", "--output", "o", "--model", "m", "--items", "a"], "in place of --items"),
        ("dpo", ["--preferences", "p", "--output", "o"], "--model is missing"),
        ("dpo", ["--preferences", "p", "--output", "o", "--model", "m", "--beta", "0"], "beta is 0"),
        ("pretrain", ["--texts", "a", "--output", "o", "--limit", "0"], "--limit is 0"),
    ],
)
def test_a_setting_that_is_missing_or_out_of_range_is_named(kind: str, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parsed(kind, *arguments)
