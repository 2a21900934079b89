import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "training"))


@pytest.fixture(autouse=True)
def _loopback_only(loopback_only: None) -> None:
    """Every test of this room."""
