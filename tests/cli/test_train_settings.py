import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonargparse import ArgumentParser

from toxitrace.annotate.loop_config import LoopConfig
from toxitrace.cli import annotate_loop, pretrain, train
from toxitrace.cli.settings_parser import build_config
from toxitrace.config import PretrainConfig, TrainConfig

# those of explore and expand are tested beside their commands
CONFIGS = sorted(
    path
    for path in (Path(__file__).parent.parent.parent / "configs").glob("*.yaml")
    if path.stem.partition("-")[0] not in ("explore", "expand")
)
COMMANDS: dict[str, tuple[ModuleType, type[Any]]] = {
    "train": (train, TrainConfig),
    "pretrain": (pretrain, PretrainConfig),
    "loop": (annotate_loop, LoopConfig),
}


@cache
def _parser(command: str) -> ArgumentParser:
    parser: ArgumentParser = COMMANDS[command][0].build_parser()
    return parser


def _parsed(command: str, *arguments: str) -> Any:
    return build_config(_parser(command).parse_args(list(arguments)), COMMANDS[command][1])


def test_there_are_recipes() -> None:
    assert {"smoke", "pretrain-small"} <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_recipe_parses_and_survives_a_round_trip_through_yaml(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = {"pretrain": "pretrain", "cusa": "loop"}.get(path.stem.partition("-")[0], "train")
    config = _parsed(command, "--config", str(path))
    with pytest.raises(SystemExit) as stop:
        _parser(command).parse_args(["--config", str(path), "--print_config"])
    assert stop.value.code == 0
    written = tmp_path / "resolved.yaml"
    written.write_text(capsys.readouterr().out, encoding="utf-8")
    assert _parsed(command, "--config", str(written)) == config


def test_flags_win_over_the_recipe() -> None:
    smoke = next(path for path in CONFIGS if path.stem == "smoke")
    config = _parsed("train", "--config", str(smoke), "--optim.lr", "3e-5", "--encoder.scratch.layers", "1")
    assert (config.optim.lr, config.encoder.scratch.layers) == (3e-5, 1)
    assert config.schedule.warmup_epochs == _parsed("train", "--config", str(smoke)).schedule.warmup_epochs


@pytest.mark.parametrize("text", ["00:01:30:00", "10:00:00:00"])
def test_a_duration_stays_the_text_that_was_typed(text: str, tmp_path: Path) -> None:
    assert _parsed("train", "--schedule.max_time", text).schedule.max_time == text
    (tmp_path / "a.yaml").write_text(f'schedule: {{max_time: "{text}"}}\n', encoding="utf-8")
    assert _parsed("train", "--config", str(tmp_path / "a.yaml")).schedule.max_time == text


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_help_needs_no_torch(command: str) -> None:
    code = (
        "import sys; from toxitrace.cli.main import main; code = main([sys.argv[1], '--help'])\n"
        "assert code == 0 and not {'torch', 'lightning', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--device.precision" in done.stdout
