"""``toxitrace info``: versions, models and hardware."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from toxitrace import __version__

_PACKAGES = ("numpy", "onnxruntime", "tokenizers", "torch", "transformers", "lightning")
# What makes bf16 and int8 fast on a CPU, as Linux names it.
_CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16", "amx_int8", "asimd", "bf16")


def build_parser() -> ArgumentParser:
    """The command's options."""
    parser = ArgumentParser(prog="toxitrace info", description="Show versions, models and hardware.")
    parser.add_argument("--model", metavar="DIR", help="show this model's settings instead of the default's")
    parser.add_argument("--json", action="store_true", help="JSON instead of tables")
    return parser


def run(config: Any) -> int:
    """Print what there is."""
    from toxitrace.detector.loading import default_model, find_model

    folder = find_model(config.model) if config.model else default_model()
    facts = {
        "versions": _versions(),
        "hardware": _hardware(Path("/proc/cpuinfo")),
        "model": _model(folder) if folder else None,
    }
    sys.stdout.write(json.dumps(facts, ensure_ascii=False, indent=2) + "\n" if config.json else _tables(facts))
    return 0


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"toxitrace": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _hardware(cpuinfo: Path) -> dict[str, Any]:
    """Cores, and the CPU's features where the system tells them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts: dict[str, Any] = {"machine": platform.machine(), "system": platform.system(), "cores": cores}
    if cpuinfo.is_file():
        rows = [line.partition(":") for line in cpuinfo.read_text(errors="replace").splitlines()]
        named = {key.strip(): value.strip() for key, _, value in reversed(rows)}  # the first CPU wins
        facts["cpu"] = named.get("model name")
        flags = set((named.get("flags") or named.get("Features") or "").split())
        facts["cpu_features"] = [flag for flag in _CPU_FLAGS if flag in flags]
    return facts


def _model(folder: Path) -> dict[str, Any]:
    from toxitrace.detector.loading import choose_backend
    from toxitrace.settings import load_settings

    return {"folder": str(folder), "backend": choose_backend(folder), **load_settings(folder).to_dict()}


def _tables(facts: dict[str, Any]) -> str:
    from toxitrace.report.terminal import table

    color = sys.stdout.isatty()
    drawn = []
    for title, rows in facts.items():
        if rows is None:
            drawn.append("No default model is installed: train one, then name its folder with --model.")
            continue
        cells = [(key, _short(value)) for key, value in rows.items()]
        drawn.append(table(["", "value"], cells, title=title, color=color, width=120))
    return "\n\n".join(drawn) + "\n"


def _short(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        # Records of the training can be long: the table names their parts, --json shows them whole.
        scalars = ", ".join(f"{key}={item}" for key, item in value.items() if not isinstance(item, (dict, list)))
        return scalars or ", ".join(value) or "-"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
