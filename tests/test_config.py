"""Every range that a setting has is checked, and the message names a flag that exists."""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from typing import Any

import pytest

from toxitrace.config import (
    DataConfig,
    DeviceConfig,
    EncoderConfig,
    LossConfig,
    OptimConfig,
    PretrainConfig,
    ScheduleConfig,
    ScratchConfig,
    Seeds,
    TrainConfig,
)
from toxitrace.errors import ConfigError

BAD: list[tuple[type[Any], str, Any]] = [
    *((ScratchConfig, name, 0) for name in ("layers", "hidden", "heads", "feed_forward", "min_count")),
    (ScratchConfig, "hidden", 30),
    (ScratchConfig, "max_positions", 7),
    (ScratchConfig, "dropout", 1.0),
    (ScratchConfig, "dropout", -0.1),
    (ScratchConfig, "vocab_size", 16),
    (EncoderConfig, "max_tokens", 7),
    (EncoderConfig, "max_tokens", 257),  # more than the scratch encoder has positions
    (DataConfig, "doubtful_label", 1.5),
    (DataConfig, "doubtful_label", math.nan),
    (DataConfig, "teacher_weight", -0.1),
    (DataConfig, "teacher_weight", 1.1),
    (DataConfig, "batch_size", 0),
    (DataConfig, "limit", 0),
    (DataConfig, "workers", -1),
    (LossConfig, "grad_weight", -1),
    (LossConfig, "contrast_weight", -1),
    (LossConfig, "margin", 0),
    (LossConfig, "margin", 1.1),
    (LossConfig, "percentile", 101),
    (LossConfig, "alpha", 0),
    (LossConfig, "temperature", 0),
    (OptimConfig, "lr", 0),
    (OptimConfig, "head_lr", 0),
    (OptimConfig, "weight_decay", -0.1),
    (OptimConfig, "warmup_share", 1.0),
    (OptimConfig, "clip_norm", -1),
    (OptimConfig, "accumulate", 0),
    (OptimConfig, "ema_decay", 1.0),
    (ScheduleConfig, "warmup_epochs", -1),
    (ScheduleConfig, "joint_epochs", -1),
    (ScheduleConfig, "patience", -1),
    (ScheduleConfig, "checkpoint_minutes", 0),
    (ScheduleConfig, "max_time", "2h"),
    (ScheduleConfig, "max_time", "02:00:00"),
    (DeviceConfig, "devices", 0),
    (DeviceConfig, "devices", -2),
    (TrainConfig, "seeds", Seeds()),
    (TrainConfig, "seeds", Seeds((1, 1))),
    (TrainConfig, "seeds", Seeds((-1,))),
    (PretrainConfig, "sequence_tokens", 7),
    (PretrainConfig, "sequence_tokens", 257),
    (PretrainConfig, "batch_size", 0),
    (PretrainConfig, "lr", 0),
    (PretrainConfig, "weight_decay", -1),
    (PretrainConfig, "warmup_steps", -1),
    (PretrainConfig, "cooldown_share", 1.1),
    (PretrainConfig, "dropout", 1.0),
    (PretrainConfig, "mask_share", 0),
    (PretrainConfig, "mean_span_tokens", 0.5),
    (PretrainConfig, "max_steps", 0),
    (PretrainConfig, "max_time", "soon"),
    (PretrainConfig, "checkpoint_minutes", 0),
    (PretrainConfig, "workers", -1),
    (PretrainConfig, "seed", -1),
]


def flags(config_class: type[Any], prefix: str = "--") -> set[str]:
    """Every flag of a command, from its config's fields."""
    found = set()
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        kind = hints[field.name]
        nested = flags(kind, f"{prefix}{field.name}.") if dataclasses.is_dataclass(kind) else set()
        found |= nested or {prefix + field.name}
    return found


def build(config_class: type[Any], **values: Any) -> Any:
    needed = {"max_steps": 1} if config_class is PretrainConfig and "max_steps" not in values else {}
    return config_class(**{**needed, **values})


@pytest.mark.parametrize(("config_class", "name", "value"), BAD, ids=lambda item: getattr(item, "__name__", repr(item)))
def test_a_value_out_of_range_is_named_with_flags_that_exist(config_class: type[Any], name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        build(config_class, **{name: value})
    message = str(error.value)
    named = set(re.findall(r"--[a-z_.]+[a-z]", message))
    assert named
    assert named <= flags(TrainConfig) | flags(PretrainConfig)
    assert any(flag.removeprefix("--").split(".")[-1] == name for flag in named)
    assert repr(value) in message
    assert "expected" in message
    assert "\n" not in message


def test_every_class_with_a_check_is_covered_here() -> None:
    import toxitrace.config as module

    checked = {
        kind
        for kind in vars(module).values()
        if dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__ and "__post_init__" in vars(kind)
    }
    assert checked == {config_class for config_class, _, _ in BAD}


def test_no_epoch_at_all_is_an_error_and_either_kind_alone_is_fine() -> None:
    with pytest.raises(ConfigError, match=r"--schedule\.joint_epochs"):
        ScheduleConfig(warmup_epochs=0, joint_epochs=0)
    ScheduleConfig(warmup_epochs=0, joint_epochs=1)
    ScheduleConfig(warmup_epochs=1, joint_epochs=0)


def test_pretraining_needs_an_end() -> None:
    with pytest.raises(ConfigError, match=r"--max_time DD:HH:MM:SS or --max_steps"):
        PretrainConfig()
    PretrainConfig(max_time="00:00:10:00")


@pytest.mark.parametrize("devices", [1, 2, -1, "auto"])
def test_lightnings_ways_to_count_devices_are_accepted(devices: int | str) -> None:
    assert DeviceConfig(devices=devices).devices == devices


def test_a_named_encoder_may_read_more_tokens_than_the_scratch_one() -> None:
    assert EncoderConfig(name="hfl/chinese-roberta-wwm-ext", max_tokens=512).max_tokens == 512


def test_the_defaults_are_the_papers_where_it_states_them() -> None:
    config = TrainConfig()
    assert config.schedule.warmup_epochs == 3
    assert config.loss.percentile == 15.0


def test_configs_cannot_be_changed_after_their_checks() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().loss.margin = 2.0  # type: ignore[misc]


def test_every_field_says_what_it_is() -> None:
    import ast
    import inspect

    import toxitrace.config as module

    undocumented = []
    for kind in ast.parse(inspect.getsource(module)).body:
        if not isinstance(kind, ast.ClassDef):
            continue
        for field, after in zip(kind.body, [*kind.body[1:], None], strict=True):
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and not documented:
                undocumented.append(f"{kind.name}.{ast.unparse(field.target)}")
    # what the class's own docstring says suffices for these
    assert set(undocumented) <= {
        "PretrainConfig.encoder",
        "PretrainConfig.fold",
        "PretrainConfig.device",
        "PretrainConfig.seed",
        *(f"TrainConfig.{name}" for name in ("data", "encoder", "loss", "optim", "schedule", "device")),
    }
