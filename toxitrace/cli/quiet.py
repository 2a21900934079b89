"""The screen belongs to this package: what datasets, trl and accelerate draw there is switched off."""

from __future__ import annotations

import os
from importlib.util import find_spec


def quiet_training() -> None:
    """Call before any training library is imported.

    Raises:
        MissingExtraError: the training libraries are not installed.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")  # of trl's reference pass; read when tqdm is imported
    from toxitrace.training.quiet import quiet_libraries

    quiet_libraries()
    if find_spec("datasets") is not None:  # what is missing is said where it is needed
        from datasets import disable_progress_bars

        disable_progress_bars()
