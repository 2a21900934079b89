"""No bars of other libraries between our lines."""

from __future__ import annotations

import subprocess
import sys

import pytest

# in a fresh process: tqdm reads its switch when it is imported
BARS = """
import toxitrace.training.quiet as quiet
from toxitrace.cli.quiet import quiet_training
quiet.quiet_libraries = lambda: None  # loads much and is about other things
quiet_training()
from datasets import are_progress_bars_disabled
from tqdm.auto import tqdm
assert are_progress_bars_disabled()
assert list(tqdm(range(2))) == [0, 1]
"""


def test_the_bars_of_datasets_and_of_trls_reference_pass_are_off() -> None:
    for name in ("datasets", "tqdm"):
        pytest.importorskip(name)
    done = subprocess.run([sys.executable, "-c", BARS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
