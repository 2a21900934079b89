import pytest


@pytest.fixture(autouse=True)
def _loopback_only(loopback_only: None) -> None:
    """Every test of this room."""
