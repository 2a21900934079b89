"""Silence what the training libraries say to developers; what a user needs comes from this package."""

from __future__ import annotations

import logging
import os
import warnings

from toxitrace.errors import MissingExtraError


def quiet_libraries() -> None:
    """Call at the command line's edge, before training starts.

    Raises:
        MissingExtraError: the training libraries are not installed.
    """
    # both are read when the libraries are imported
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        import lightning.pytorch  # sets its own log levels when imported  # noqa: F401
        from transformers.utils import logging as transformers_logging
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from error

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for name in ("lightning.pytorch", "lightning.fabric", "lightning", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in (".*does not have many workers.*", ".*LeafSpec.*", ".*exists and is not empty.*", ".*srun.*"):
        warnings.filterwarnings("ignore", message=pattern)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"lightning\..*")
