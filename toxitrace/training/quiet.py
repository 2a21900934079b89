"""Silence what the training libraries say to developers; what a user needs comes from this package."""

from __future__ import annotations

import logging
import os
import warnings


def quiet_libraries() -> None:
    """Call at the command line's edge, before training starts."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import lightning.pytorch  # sets its own log levels when imported  # noqa: F401

    for name in ("lightning.pytorch", "lightning.fabric", "lightning", "transformers", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in (".*does not have many workers.*", ".*LeafSpec.*", ".*exists and is not empty.*", ".*srun.*"):
        warnings.filterwarnings("ignore", message=pattern)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"lightning\..*")
