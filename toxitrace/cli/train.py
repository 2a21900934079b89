"""``toxitrace train``: labelled texts -> a model whose gradients point at the toxic words."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from toxitrace.cli.settings_parser import build_config, settings_parser
from toxitrace.config import TrainConfig


def build_parser() -> ArgumentParser:
    """The command's options."""
    return settings_parser("train", "Train a model on labelled texts and, where there are any, spans.", TrainConfig)


def run(namespace: Namespace) -> int:
    """Train and say where the model is."""
    config = build_config(namespace, TrainConfig)
    from toxitrace.training.quiet import quiet_libraries

    quiet_libraries()
    from toxitrace.training.progress import announce
    from toxitrace.training.train import train

    for folder in train(config):
        announce(f"model written to {folder}; try it: toxitrace predict --model {folder} TEXT")
    return 0
