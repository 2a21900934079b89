import json
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import notes, scripted_scores, tiny_config, watched

from toxitrace.config import DataConfig, Seeds
from toxitrace.encoder.folder import load_classifier
from toxitrace.training import module
from toxitrace.training.module import TraceModule
from toxitrace.training.train import train


@pytest.fixture
def weights_by_epoch(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The model after every epoch of training."""
    states: list[dict[str, torch.Tensor]] = []

    def keep(self: TraceModule) -> None:
        states.append({name: value.clone() for name, value in self.classifier.model.state_dict().items()})

    monkeypatch.setattr(TraceModule, "on_train_epoch_end", keep)
    return states


def _same(folder: str, state: dict[str, torch.Tensor]) -> bool:
    written = load_file(Path(folder) / "model.safetensors")
    return all(torch.equal(written[name], value) for name, value in state.items() if name in written)


@pytest.mark.parametrize(
    ("warmup", "scores", "epochs", "best"),
    [
        (1, [0.5, 0.6, 0.7, 0.65, 0.66, 0.9], 5, 0.7),  # two joint epochs no better than 0.7
        (3, [0.5, 0.5, 0.5, 0.6, 0.6, 0.6, 0.9], 6, 0.6),  # the warm-up does not count, equal is not better
        (1, [0.99, 0.5, 0.4, 0.3, 0.9], 4, 0.5),  # nor is it chosen
    ],
)
def test_training_stops_after_patience_joint_epochs_and_keeps_the_best(
    tmp_path: Path,
    mild: DataConfig,
    monkeypatch: pytest.MonkeyPatch,
    weights_by_epoch: list[dict[str, torch.Tensor]],
    warmup: int,
    scores: list[float],
    epochs: int,
    best: float,
) -> None:
    monkeypatch.setattr(module, "MulticlassF1Score", scripted_scores(scores))
    schedule = {"warmup_epochs": warmup, "joint_epochs": 9, "patience": 2}
    config = tiny_config(tmp_path / "run", mild, schedule=schedule)
    train(config)
    assert len(weights_by_epoch) == epochs
    assert _same(config.output, weights_by_epoch[scores.index(best, warmup)])
    assert notes(config.output)["dev_macro_f1"] == pytest.approx(best)


def test_without_joint_epochs_the_best_warm_up_epoch_is_kept(
    tmp_path: Path, mild: DataConfig, monkeypatch: pytest.MonkeyPatch, weights_by_epoch: list[dict[str, torch.Tensor]]
) -> None:
    monkeypatch.setattr(module, "MulticlassF1Score", scripted_scores([0.5, 0.8, 0.6]))
    config = tiny_config(tmp_path / "run", mild, schedule={"warmup_epochs": 3, "joint_epochs": 0})
    train(config)
    assert _same(config.output, weights_by_epoch[1])


def test_stopped_in_the_warm_up_the_latest_weights_are_written(
    tmp_path: Path, mild: DataConfig, monkeypatch: pytest.MonkeyPatch, weights_by_epoch: list[dict[str, torch.Tensor]]
) -> None:
    keep: Any = TraceModule.on_train_epoch_end

    def keep_and_stop(self: TraceModule) -> None:
        keep(self)
        self.trainer.should_stop = self.current_epoch == 1

    monkeypatch.setattr(TraceModule, "on_train_epoch_end", keep_and_stop)
    monkeypatch.setattr(module, "MulticlassF1Score", scripted_scores([0.7, 0.6]))
    config = tiny_config(tmp_path / "run", mild, schedule={"warmup_epochs": 5})
    train(config)
    assert len(weights_by_epoch) == 2
    assert _same(config.output, weights_by_epoch[1])
    assert notes(config.output)["dev_macro_f1"] == pytest.approx(0.6)


def test_max_time_ends_a_run_that_would_take_hours_with_its_best_model(tmp_path: Path, mild: DataConfig) -> None:
    schedule = {"warmup_epochs": 0, "joint_epochs": 100_000, "max_time": "00:00:00:01", "checkpoint_minutes": 9.0}
    config = tiny_config(tmp_path / "run", mild, schedule=schedule)
    started = time.monotonic()
    with watched() as seen:
        train(config)
    assert 0 < len(seen) < 4000
    assert time.monotonic() - started < 60
    assert notes(config.output)["steps"] == len(seen)
    load_classifier(config.output)


def test_several_seeds_go_to_folders_of_their_own_with_a_summary(tmp_path: Path, mild: DataConfig) -> None:
    config = tiny_config(tmp_path / "runs", mild, seeds=Seeds((3, 5)))
    folders = train(config)
    assert folders == [tmp_path / "runs/seed-3", tmp_path / "runs/seed-5"]
    assert not (tmp_path / "runs/toxitrace.json").exists()
    scores = {folder.name: notes(folder)["dev_macro_f1"] for folder in folders}
    summary = json.loads((tmp_path / "runs/summary.json").read_text(encoding="utf-8"))
    assert summary["dev_macro_f1"] == scores
    assert summary["mean"] == pytest.approx(sum(scores.values()) / 2)
    assert summary["standard_deviation"] == pytest.approx(statistics.stdev(scores.values()))


@pytest.mark.parametrize(("scores", "counted"), [([0.5, 0.6, 0.7], 3), ([0.5, 0.7, 0.6], 2)])
def test_with_ema_the_model_measured_and_written_is_the_average_up_to_the_best_epoch(
    tmp_path: Path, mild: DataConfig, monkeypatch: pytest.MonkeyPatch, scores: list[float], counted: int
) -> None:
    monkeypatch.setattr(module, "MulticlassF1Score", scripted_scores(scores))
    averages: list[dict[str, torch.Tensor]] = []
    measured: list[dict[str, torch.Tensor]] = []

    def state(self: TraceModule) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self.classifier.model.named_parameters()}

    def average(self: TraceModule, *_: Any) -> None:
        now = state(self)
        averages.append({n: 0.8 * averages[-1][n] + 0.2 * now[n] for n in now} if averages else now)

    monkeypatch.setattr(TraceModule, "on_train_batch_end", average)
    monkeypatch.setattr(TraceModule, "on_validation_epoch_start", lambda self: measured.append(state(self)), False)
    config = tiny_config(tmp_path / "run", mild, optim={"ema_decay": 0.8})
    train(config)
    for found, expected in zip(measured, averages[3::4], strict=True):  # epochs of four steps
        torch.testing.assert_close(found, expected)
    written = load_file(Path(config.output) / "model.safetensors")
    best = averages[4 * counted - 1]
    for name in written.keys() & best.keys():
        torch.testing.assert_close(written[name], best[name])
    assert len(written.keys() & best.keys()) > 10


@pytest.mark.parametrize(("ema_decay", "told"), [(0.0, False), (0.8, False), (0.99, True)])
def test_an_average_that_keeps_its_start_is_told(
    tmp_path: Path, mild: DataConfig, capsys: pytest.CaptureFixture[str], ema_decay: float, told: bool
) -> None:
    train(tiny_config(tmp_path / "run", mild, optim={"ema_decay": ema_decay}))
    assert ("of what this training writes is the weights it begins with" in capsys.readouterr().err) is told


@pytest.mark.parametrize("ema_decay", [0.0, 0.8])
def test_the_model_at_the_end_of_the_warm_up_is_kept_beside_the_trained_one(
    tmp_path: Path, mild: DataConfig, weights_by_epoch: list[dict[str, torch.Tensor]], ema_decay: float
) -> None:
    schedule = {"warmup_epochs": 2, "joint_epochs": 1, "keep_warmup": True}
    config = tiny_config(tmp_path / "run", mild, schedule=schedule, optim={"ema_decay": ema_decay})
    train(config)
    kept = f"{config.output}/warm-up"
    assert _same(kept, weights_by_epoch[1])
    assert not _same(kept, weights_by_epoch[0])
    assert not _same(config.output, weights_by_epoch[1])
    assert notes(kept)["steps"] == 8  # two epochs of four
    load_classifier(kept)
