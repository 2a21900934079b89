"""What several rooms' tests share."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The machines that run this are shared: a slow example is no failure. Tests that bound time do so themselves.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

# A shell starts jobs in its background deaf to Ctrl-C, and their children with them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

for room in ("detector", "llm"):
    sys.path.insert(0, str(Path(__file__).parent / room))

from fake_model import write_export  # noqa: E402 (found through the lines above)
from local_service import LocalService  # noqa: E402


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder whose model calls 笨, 蛋 and 滚 toxic."""
    pytest.importorskip("onnx")
    return write_export(tmp_path_factory.mktemp("export"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order: results are compared byte by byte, also with those of other processes."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no key of the developer's own."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service(loopback_only: None) -> Iterator[LocalService]:
    """A language model on loopback."""
    with LocalService() as running:
        yield running
