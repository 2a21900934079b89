from pathlib import Path

import pytest
from tiny_runs import mild_data

from toxitrace.config import DataConfig

_HERE = Path(__file__).parent
# what quiet_libraries() hides from users
_EXPECTED = (
    "ignore:.*exists and is not empty",
    "ignore:.*does not have many workers",
    "ignore:.*not resumable",
    "ignore:.*smaller than the logging interval",
    "ignore:.*across ranks is zero",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            for warning in _EXPECTED:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def mild(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Forty mild sentences with spans and rationales, sixteen to develop on."""
    return mild_data(tmp_path_factory.mktemp("mild"))


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Every test of this room."""
