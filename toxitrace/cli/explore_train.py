"""``toxitrace explore pretrain``, ``sft``, ``dpo`` and ``merge``: the language model that writes queries."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser

from toxitrace.cli.explore_flags import say
from toxitrace.cli.quiet import quiet_training
from toxitrace.cli.settings_parser import build_config, settings_parser
from toxitrace.errors import ConfigError
from toxitrace.explore.tasks.train_config import DPOTask, PretrainTask, SFTTask


def pretrain_parser() -> ArgumentParser:
    """The options of ``pretrain``."""
    return settings_parser("explore pretrain", PretrainTask.__doc__ or "", PretrainTask)


def sft_parser() -> ArgumentParser:
    """The options of ``sft``."""
    return settings_parser("explore sft", SFTTask.__doc__ or "", SFTTask)


def dpo_parser() -> ArgumentParser:
    """The options of ``dpo``."""
    return settings_parser("explore dpo", DPOTask.__doc__ or "", DPOTask)


def pretrain(namespace: Any) -> int:
    """Train a small model from scratch."""
    task = build_config(namespace, PretrainTask)
    quiet_training()
    from toxitrace.explore.tasks import train

    train.pretrain(task, say)
    return 0


def sft(namespace: Any) -> int:
    """Train on annotators' queries."""
    task = build_config(namespace, SFTTask)
    quiet_training()
    from toxitrace.explore.tasks import train

    folder = train.sft(task, say)
    say(f"try it: toxitrace explore queries --generator lm:{folder} --items FILE --output FILE")
    return 0


def dpo(namespace: Any) -> int:
    """Train on pairs."""
    task = build_config(namespace, DPOTask)
    quiet_training()
    from toxitrace.explore.tasks import train

    train.dpo(task, say)
    return 0


def merge_parser() -> ArgumentParser:
    """The options of ``merge``."""
    parser = ArgumentParser(
        prog="toxitrace explore merge",
        description="Fold an adapter into its base and write the whole model, which then needs no peft. (sft and dpo "
        "do that themselves: this is for adapters from elsewhere.)",
    )
    parser.add_argument("adapter", metavar="DIR", help="folder with adapter_config.json, which names the base")
    parser.add_argument("--output", metavar="DIR", help="folder of the whole model")
    return parser


def merge(config: Any) -> int:
    """Merge and say where the model is."""
    if not config.output:
        raise ConfigError("expected --output DIR, the folder of the whole model")
    quiet_training()
    from toxitrace.explore.language_model import merge as fold_in

    say(f"model written to {fold_in(config.adapter, config.output)}")
    return 0
