from pathlib import Path

import pytest
import torch
from tiny_runs import tiny_config
from torch import Tensor, nn

from toxitrace.config import DataConfig, TrainConfig
from toxitrace.encoder.char_tokenizer import build_char_tokenizer
from toxitrace.encoder.folder import new_classifier
from toxitrace.training.module import TraceModule


class _Trainer:
    """As much of a Trainer as the optimiser's set-up asks for."""

    max_epochs = 3

    class datamodule:
        @staticmethod
        def train_dataloader() -> list[int]:
            return [0] * 5


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return tiny_config(tmp_path, DataConfig())


def _module(config: TrainConfig) -> TraceModule:
    classifier, _ = new_classifier(config.encoder, build_char_tokenizer(["你真是个笨蛋"], 100, 1))
    module = TraceModule(classifier, config, seed=1)
    module._trainer = _Trainer()  # type: ignore[assignment]
    return module


def test_biases_and_norms_are_not_decayed_and_the_head_has_its_own_rate(config: TrainConfig, tmp_path: Path) -> None:
    config = tiny_config(tmp_path, config.data, optim={"head_lr": 0.5, "weight_decay": 0.1, "warmup_share": 0.0})
    module = _module(config)
    optimizer = module.configure_optimizers()["optimizer"]
    names = {parameter: name for name, parameter in module.classifier.model.named_parameters()}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(names)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.1 if names[parameter].endswith("weight") and parameter.ndim == 2 else 0)
            assert group["lr"] == (0.5 if names[parameter].startswith("classifier.") else config.optim.lr)


def test_the_learning_rate_rises_over_its_share_of_the_steps_and_falls_to_zero(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, DataConfig(), optim={"lr": 1.0, "warmup_share": 0.5, "accumulate": 2})
    setup = _module(config).configure_optimizers()
    schedule = setup["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(10):  # five batches an epoch, two a step: three steps, in three epochs nine
        rates.append(schedule.get_last_lr()[0])
        setup["optimizer"].step()
        schedule.step()
    assert rates == pytest.approx([0, 0.25, 0.5, 0.75, 1.0, 0.8, 0.6, 0.4, 0.2, 0])


def test_the_development_auroc_ranks_across_batches(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    # all margins of the first batch lie in [0, 1]: they must be squashed as those of the second are
    margins = iter([torch.tensor([0.9, 0.95]), torch.tensor([2.0, -3.0])])

    class Margins(nn.Module):
        def forward(self, *_: Tensor) -> Tensor:
            values = next(margins)
            return torch.stack([torch.zeros_like(values), values], 1)

    module = _module(config)
    module.classifier = Margins()  # type: ignore[assignment]
    for labels in ([0, 0], [1, 0]):
        batch = {"input_ids": torch.zeros(2, 1), "attention_mask": torch.ones(2, 1), "label": torch.tensor(labels)}
        module.validation_step(batch, 0)  # type: ignore[arg-type]
    assert module.auroc.compute() == 1.0
