"""Runs of a second: the smallest encoder on a few mild sentences, and ways to cut them off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from toxitrace.config import (
    DataConfig,
    DeviceConfig,
    EncoderConfig,
    LossConfig,
    OptimConfig,
    Paths,
    ScheduleConfig,
    ScratchConfig,
    Seeds,
    TrainConfig,
)
from toxitrace.training.module import TraceModule
from toxitrace.training.train import train

SAMPLES = Path(__file__).parent.parent / "samples"
EVERY_STEP = 1e-9  # minutes between checkpoints


class Killed(BaseException):
    """Stands for the end of the process."""


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def mild_data(folder: Path, n_rows: int = 40, n_dev: int = 16) -> DataConfig:
    """The first mild sentences with their spans and rationales, as files in ``folder``."""
    rows = read_jsonl(SAMPLES / "mild.jsonl")[:n_rows]
    ids = {row["id"] for row in rows}
    named = {"train": rows, "dev": read_jsonl(SAMPLES / "mild-dev.jsonl")[:n_dev]}
    for name in ("spans", "rationales"):
        named[name] = [row for row in read_jsonl(SAMPLES / f"mild-{name}.jsonl") if row["id"] in ids]
    files = {name: Paths([write_jsonl(folder / f"{name}.jsonl", content)]) for name, content in named.items()}
    return DataConfig(batch_size=10, **files)


def tiny_config(output: Path, data: DataConfig, **changes: Any) -> TrainConfig:
    """One warm-up and two joint epochs of four steps each; ``changes`` are fields of TrainConfig or its sections."""
    config = TrainConfig(
        output=str(output),
        data=data,
        encoder=EncoderConfig(
            max_tokens=48,
            scratch=ScratchConfig(
                layers=1, hidden=16, heads=2, feed_forward=32, max_positions=64, vocab_size=400, min_count=1
            ),
        ),
        loss=LossConfig(),
        optim=OptimConfig(lr=5e-3),
        schedule=ScheduleConfig(warmup_epochs=1, joint_epochs=2, checkpoint_minutes=EVERY_STEP),
        device=DeviceConfig(accelerator="cpu", precision="32-true"),
        seeds=Seeds((1,)),
        tensorboard=False,
    )
    for name, value in changes.items():
        if isinstance(value, dict):
            value = replace(getattr(config, name), **value)
        config = replace(config, **{name: value})
    return config


def weights(folder: Path | str) -> bytes:
    return (Path(folder) / "model.safetensors").read_bytes()


def notes(folder: Path | str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(folder) / "toxitrace.json").read_text(encoding="utf-8"))["notes"]
    return content


@contextmanager
def watched(kill_at: tuple[int, int] | None = None) -> Iterator[list[tuple[int, int, int, int]]]:
    """Notes (epoch, batch, step, sum of token ids) of every training batch; dies before batch ``kill_at``."""
    seen: list[tuple[int, int, int, int]] = []
    original = TraceModule.on_train_batch_start

    def hook(self: TraceModule, batch: Any, batch_idx: int) -> None:
        if kill_at == (self.current_epoch, batch_idx):
            raise Killed
        seen.append((self.current_epoch, batch_idx, self.global_step, int(batch["input_ids"].sum())))
        original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TraceModule, "on_train_batch_start", hook)
        yield seen


def killed_then_resumed(config: TrainConfig, kill_at: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Train, die before batch ``kill_at`` = (epoch, batch), and resume.

    Returns:
        The batches that both sittings saw, in order.
    """
    with watched(kill_at) as first, pytest.raises(Killed):
        train(config)
    assert not (Path(config.output) / "toxitrace.json").exists()
    with watched() as second:
        train(replace(config, resume=True))
    return [*first, *second]


def scripted_scores(scores: list[float]) -> type[torch.nn.Module]:
    """A stand-in for MulticlassF1Score that gives these values, validation by validation."""
    left = iter(scores)

    class Scripted(torch.nn.Module):
        def __init__(self, **_: Any) -> None:
            super().__init__()

        def update(self, *_: Any) -> None:
            pass

        def compute(self) -> torch.Tensor:
            return torch.tensor(next(left))

        def reset(self) -> None:
            pass

    return Scripted
