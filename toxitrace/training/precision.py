"""Which number format to compute in, chosen by what the hardware multiplies fast."""

from __future__ import annotations

from typing import Literal

import torch

from toxitrace.config import Precision


def has_fast_bf16(accelerator: str) -> bool:
    """Whether bf16 products are faster than fp32 ones here (AMX or AVX512-BF16 on CPUs, Ampere and later GPUs)."""
    if accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if accelerator in ("cpu", "auto"):
        found = torch.cpu.get_capabilities()
        return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    return False


def resolve_precision(precision: Precision, accelerator: str) -> Literal["32-true", "bf16-mixed"]:
    """Replace ``auto`` by the fast safe choice; other values pass."""
    if precision != "auto":
        return precision
    return "bf16-mixed" if has_fast_bf16(accelerator) else "32-true"
