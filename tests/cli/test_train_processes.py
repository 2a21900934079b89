"""Training as the shell starts it: processes that are killed, interrupted, or train together."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent.parent / "training"))

from tiny_runs import mild_data, notes, tiny_config, weights

from toxitrace.config import Paths, TrainConfig
from toxitrace.training.train import train

PATIENCE_SECONDS = 600  # for a machine that has other things to do


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """A run of 120 steps with a checkpoint at each."""
    data = replace(mild_data(tmp_path, n_rows=30), batch_size=3, dev=Paths())
    return tiny_config(tmp_path / "run", data, schedule={"warmup_epochs": 2, "joint_epochs": 10})


def _start(config: TrainConfig, *flags: str) -> subprocess.Popen[str]:
    recipe = Path(config.output).with_suffix(".yaml")
    recipe.write_text(yaml.safe_dump(json.loads(json.dumps(asdict(config)))), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "toxitrace", "train", "--config", str(recipe), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _stop(config: TrainConfig, sign: signal.Signals, *flags: str) -> tuple[int, str, str]:
    """Start a run and send ``sign`` once it has written a checkpoint of its own."""
    checkpoint = Path(config.output) / "logs" / "last.ckpt"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
    with _start(config, *flags) as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"no checkpoint was written: {process.communicate()[1]}")
            time.sleep(0.01)
        process.send_signal(sign)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out, err


def test_an_interrupted_then_killed_run_is_resumed_to_the_bytes_of_an_uninterrupted_one(
    config: TrainConfig, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    code, out, err = _stop(config, signal.SIGINT)  # Ctrl-C
    assert (code, out) == (130, "")
    assert [line for line in err.splitlines() if not line.startswith(("seed 1: ", "epoch "))] == [
        "toxitrace: error: interrupted"
    ]
    assert {path.name for path in output.iterdir()} == {"logs"}

    assert _stop(config, signal.SIGKILL, "--resume", "true")[0] == -signal.SIGKILL
    assert {path.name for path in output.iterdir()} == {"logs"}

    process = _start(config, "--resume", "true")
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (0, ""), err
    assert f"model written to {output}" in err

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(tiny_config(tmp_path / "whole", config.data, schedule=asdict(config.schedule)))
    torch.set_num_threads(threads)
    assert weights(output) == weights(tmp_path / "whole")


def test_two_processes_train_one_model_together(tmp_path: Path) -> None:
    # batches of two: often one process has supervised texts or rationales and the other none
    data = replace(mild_data(tmp_path, n_rows=30, n_dev=9), batch_size=2)
    config = tiny_config(
        tmp_path / "run",
        data,
        device={"devices": 2, "strategy": "ddp"},
        schedule={"checkpoint_minutes": 5.0},
    )
    process = _start(config)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (0, ""), err
    output = tmp_path / "run"
    assert {path.name for path in output.iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "toxitrace.json", "logs")
    }
    # each line once, whatever the number of processes, and nothing from the libraries
    assert [line.split(":")[0] for line in err.splitlines()] == [
        *("seed 1", "epoch 1/3 step 7/21", "epoch 2/3 step 14/21", "epoch 3/3 step 21/21"),
        f"model written to {output}; try it",
    ]
    recorded: dict[str, Any] = notes(output)
    assert recorded["steps"] == 21
    assert 0 < recorded["dev_macro_f1"] <= 1
    trained = load_file(output / "model.safetensors")
    assert all(value.isfinite().all() and value.abs().max() < 10 for value in trained.values())
