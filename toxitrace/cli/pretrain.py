"""``toxitrace pretrain``: masked-LM pre-training of an encoder from scratch."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from toxitrace.cli.settings_parser import build_config, settings_parser
from toxitrace.config import PretrainConfig


def build_parser() -> ArgumentParser:
    """The command's options."""
    return settings_parser("pretrain", "Pre-train a small encoder on plain Chinese text.", PretrainConfig)


def run(namespace: Namespace) -> int:
    """Train and say where the encoder is."""
    config = build_config(namespace, PretrainConfig)
    from toxitrace.training.quiet import quiet_libraries

    quiet_libraries()
    from toxitrace.training.pretrain import pretrain
    from toxitrace.training.progress import announce

    folder = pretrain(config)
    announce(f"encoder written to {folder}; train on it with: toxitrace train --encoder.name {folder}")
    return 0
