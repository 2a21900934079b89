"""The rooms on the score path stay light."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("room", ["toxitrace.spans", "toxitrace.evaluation"])
def test_the_room_loads_neither_torch_nor_sklearn(room: str) -> None:
    code = f"import sys, {room}; print(sorted({{'torch', 'sklearn', 'scipy', 'transformers'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
