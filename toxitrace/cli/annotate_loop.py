"""``toxitrace annotate loop``: labelled texts -> warm-up -> clues -> weak spans -> a model trained on them."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from toxitrace.annotate.loop_config import LoopConfig
from toxitrace.cli.settings_parser import build_config, settings_parser


def build_parser() -> ArgumentParser:
    """The task's options."""
    return settings_parser("annotate loop", "Warm-up, annotation and joint training in one go.", LoopConfig)


def run(namespace: Namespace) -> int:
    """Run the stages and say where the model is."""
    config = build_config(namespace, LoopConfig)
    from toxitrace.annotate.loop import run_loop
    from toxitrace.training.progress import announce
    from toxitrace.training.quiet import quiet_libraries

    quiet_libraries()
    folder = run_loop(config, announce)
    announce(f"model written to {folder}; try it: toxitrace predict --model {folder} TEXT")
    return 0
