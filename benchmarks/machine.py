"""Where and when a result was measured; every file in results/ carries this."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from toxitrace.versions import package_versions

RESULTS = Path(__file__).resolve().parent / "results"
SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def machine() -> dict[str, Any]:
    """Processor, cores, its fast number formats, and package versions."""
    facts: dict[str, Any] = {"cores": os.cpu_count(), "system": platform.platform(terse=True)}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        text = cpuinfo.read_text(errors="replace")
        facts["cpu"] = next((line.split(":")[1].strip() for line in text.splitlines() if "model name" in line), "?")
        facts["features"] = [flag for flag in ("avx512f", "avx512_bf16", "amx_bf16", "amx_int8") if flag in text]
    return facts | {"versions": package_versions()}


def processor(facts: dict[str, Any]) -> str:
    """The processor's name and what it multiplies fast, for a table."""
    return f"{facts.get('cpu', '?')} ({', '.join(facts.get('features', [])) or 'no AVX512'})"


def require_shared() -> Path:
    """The folder with the development data; stops with a clear line where it is absent."""
    if not SHARED.is_dir():
        raise SystemExit(f"this benchmark reads {SHARED}, which is not here; see benchmarks/README.md")
    return SHARED
