from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import EVERY_STEP, Killed, killed_then_resumed, scripted_scores, tiny_config, watched, weights

from toxitrace.config import DataConfig, Paths, Seeds, TrainConfig
from toxitrace.errors import ConfigError, ModelError
from toxitrace.training import module
from toxitrace.training.train import train

Seen = tuple[int, int, int, int]
Uninterrupted = Callable[..., tuple[list[Seen], bytes]]


@pytest.fixture(scope="module")
def mild_no_dev(mild: DataConfig) -> DataConfig:
    """Without development texts the last weights are written, whatever their score."""
    return replace(mild, dev=Paths())


@pytest.fixture(scope="module")
def uninterrupted(mild_no_dev: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """Batches and weights of a run with these changes, each trained once."""
    done: dict[str, tuple[list[Seen], bytes]] = {}

    def run(**changes: Any) -> tuple[list[Seen], bytes]:
        if repr(changes) not in done:
            config = tiny_config(tmp_path_factory.mktemp("whole") / "run", mild_no_dev, **changes)
            with watched() as seen:
                train(config)
            done[repr(changes)] = (seen, weights(config.output))
        return done[repr(changes)]

    return run


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, mild_no_dev: DataConfig) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        train(tiny_config(tmp_path / name, mild_no_dev, seeds=Seeds((seed,))))
    assert weights(tmp_path / "one") == weights(tmp_path / "again")
    assert weights(tmp_path / "one") != weights(tmp_path / "other")


@pytest.mark.parametrize(
    ("precision", "accumulate", "ema_decay", "workers", "kill_at"),
    [
        ("32-true", 1, 0.0, 0, (0, 2)),
        ("32-true", 1, 0.0, 0, (1, 0)),
        ("32-true", 1, 0.0, 0, (2, 3)),
        ("bf16-mixed", 1, 0.0, 0, (1, 2)),
        ("bf16-mixed", 1, 0.0, 0, (2, 0)),
        ("32-true", 3, 0.0, 0, (1, 2)),  # in the middle of a step of three batches
        ("32-true", 3, 0.0, 0, (2, 3)),  # before the last, shorter step
        ("32-true", 1, 0.0, 1, (1, 2)),
        ("32-true", 1, 0.9, 0, (1, 2)),
        ("32-true", 3, 0.9, 0, (2, 3)),
    ],
)
def test_a_killed_and_resumed_run_ends_with_the_bytes_of_an_uninterrupted_one(
    tmp_path: Path,
    mild_no_dev: DataConfig,
    uninterrupted: Uninterrupted,
    precision: str,
    accumulate: int,
    ema_decay: float,
    workers: int,
    kill_at: tuple[int, int],
) -> None:
    changes = {"optim": {"accumulate": accumulate, "ema_decay": ema_decay}, "device": {"precision": precision}}
    whole, expected = uninterrupted(**changes)
    config = tiny_config(tmp_path / "cut", replace(mild_no_dev, workers=workers), **changes)
    seen = killed_then_resumed(config, kill_at)
    assert weights(config.output) == expected
    # Lightning's counters and the batches agree: what was done after the last step is done again, nothing is left out
    assert list(dict.fromkeys(seen)) == whole
    assert len(seen) - len(whole) == kill_at[1] % accumulate


def test_without_a_timed_checkpoint_a_run_resumes_from_the_end_of_an_epoch(
    tmp_path: Path, mild_no_dev: DataConfig, uninterrupted: Uninterrupted
) -> None:
    whole, expected = uninterrupted(optim={"accumulate": 1}, device={"precision": "32-true"})
    config = tiny_config(tmp_path / "cut", mild_no_dev, schedule={"checkpoint_minutes": 60.0})
    seen = killed_then_resumed(config, (2, 2))
    assert weights(config.output) == expected
    assert seen == whole[:10] + whole[8:]


@pytest.mark.parametrize("kill_at", [(2, 0), (3, 1)])
def test_the_best_model_survives_an_interruption(
    tmp_path: Path, mild: DataConfig, monkeypatch: pytest.MonkeyPatch, kill_at: tuple[int, int]
) -> None:
    scores = [0.9, 0.6, 0.5, 0.55]  # one warm-up epoch, then three joint ones: the second epoch is the best
    schedule = {"schedule": {"joint_epochs": 3}}
    for name in ("whole", "cut"):
        monkeypatch.setattr(module, "MulticlassF1Score", scripted_scores(scores))
        config = tiny_config(tmp_path / name, mild, **schedule)
        if name == "whole":
            train(config)
        else:
            with watched(kill_at), pytest.raises(Killed):
                train(config)
            monkeypatch.setattr(module, "MulticlassF1Score", scripted_scores(scores[kill_at[0] :]))
            train(replace(config, resume=True))
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_a_finished_run_has_nothing_to_resume(
    tmp_path: Path, mild: DataConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path / "run", mild)
    train(config)
    before = weights(config.output)
    capsys.readouterr()
    with watched() as seen:
        assert train(replace(config, resume=True)) == [tmp_path / "run"]
    assert seen == []
    assert weights(config.output) == before
    assert capsys.readouterr().err == f"seed 1: {config.output} is complete; nothing to do\n"


def test_a_run_killed_after_its_last_step_only_writes_its_model_when_resumed(tmp_path: Path, mild: DataConfig) -> None:
    config = tiny_config(tmp_path / "run", mild)
    train(config)
    before = weights(config.output)
    for name in ("toxitrace.json", "model.safetensors"):
        (tmp_path / "run" / name).unlink()
    with watched() as seen:
        train(replace(config, resume=True))
    assert seen == []
    assert weights(config.output) == before


def test_the_model_of_an_earlier_run_is_not_taken_for_the_one_that_died(
    tmp_path: Path, mild_no_dev: DataConfig
) -> None:
    config = tiny_config(tmp_path / "run", mild_no_dev)
    train(replace(config, seeds=Seeds((7,))))
    with watched(kill_at=(0, 0)), pytest.raises(Killed):
        train(config)
    train(replace(config, resume=True))
    train(replace(config, output=str(tmp_path / "whole")))
    assert weights(config.output) == weights(tmp_path / "whole")


def test_a_truncated_checkpoint_is_a_model_error(tmp_path: Path, mild_no_dev: DataConfig) -> None:
    config = _killed(tmp_path, mild_no_dev)
    checkpoint = tmp_path / "run/logs/last.ckpt"
    content = checkpoint.read_bytes()
    for kept in (0, len(content) // 2, len(content) - 9):
        checkpoint.write_bytes(content[:kept])
        with pytest.raises(ModelError, match=r"last\.ckpt cannot be read .*; delete it to train from the start"):
            train(replace(config, resume=True))
        assert checkpoint.exists()


def test_a_checkpoint_of_other_settings_or_data_is_refused(
    tmp_path: Path, mild: DataConfig, mild_no_dev: DataConfig
) -> None:
    config = replace(_killed(tmp_path, mild_no_dev), resume=True)
    with pytest.raises(ConfigError, match=r"other settings or data \(optim\.lr\)"):
        train(replace(config, optim=replace(config.optim, lr=1e-4)))
    with pytest.raises(ConfigError, match=r"other settings or data \(data_sha256\)"):
        train(replace(config, data=mild))


def test_a_resumed_run_may_save_more_often_and_log_elsewhere(tmp_path: Path, mild_no_dev: DataConfig) -> None:
    config = _killed(tmp_path, mild_no_dev)
    schedule = replace(config.schedule, checkpoint_minutes=5.0, max_time="00:01:00:00")
    train(replace(config, resume=True, schedule=schedule, tensorboard=True))


def test_without_resume_an_old_checkpoint_is_dropped(tmp_path: Path, mild_no_dev: DataConfig) -> None:
    config = _killed(tmp_path, mild_no_dev)
    with watched(kill_at=(0, 0)), pytest.raises(Killed):
        train(config)
    assert not (tmp_path / "run/logs/last.ckpt").exists()


def _killed(tmp_path: Path, data: DataConfig) -> TrainConfig:
    config = tiny_config(tmp_path / "run", data, schedule={"checkpoint_minutes": EVERY_STEP})
    with watched(kill_at=(1, 1)), pytest.raises(Killed):
        train(config)
    return config
