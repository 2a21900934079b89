"""What several rooms' tests share."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The machines that run this are shared: a slow example is no failure. Tests that bound time do so themselves.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

sys.path.insert(0, str(Path(__file__).parent / "detector"))

from fake_model import write_export  # noqa: E402 (found through the line above)


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder whose model calls 笨, 蛋 and 滚 toxic."""
    pytest.importorskip("onnx")
    return write_export(tmp_path_factory.mktemp("export"))
