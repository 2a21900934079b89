from __future__ import annotations

from pathlib import Path

import pytest
from operate_doubles import Sittings

pytest.importorskip("jieba", reason="jieba is not installed")


@pytest.fixture
def sittings(tmp_path: Path) -> Sittings:
    return Sittings(tmp_path)
