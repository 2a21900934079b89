"""A process that is killed in the middle of a run, and the run that follows."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from local_service import LocalService

import toxitrace
from toxitrace.llm import LLMRequest, ask_all, open_client

pytest.importorskip("openai", reason="the llm extra is not installed")

N_ROWS, CONCURRENCY = 80, 4
RUN = f"""
import sys
from toxitrace.llm import LLMRequest, ask_all, open_client
url, cache = sys.argv[1:]
client = open_client("openai:m", url, cache=cache, environ={{}})
rows = ((str(n), LLMRequest("cusa/1", "", str(n))) for n in range({N_ROWS}))
print(sum(outcome.kind == "reply" for _, outcome in ask_all(client, rows, concurrency={CONCURRENCY})))
"""


def start(service: LocalService, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, service.openai_url, str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(toxitrace.__file__).parent.parent)


def test_a_killed_run_asks_again_only_what_was_under_way(tmp_path: Path) -> None:
    with LocalService(delay_seconds=0.02) as service:
        first = start(service, tmp_path / "c.db")
        deadline = time.monotonic() + 60
        while service.n_requests < N_ROWS // 2:
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        n_before = service.n_requests
        assert n_before < N_ROWS

        second = start(service, tmp_path / "c.db")
        assert second.communicate(timeout=60)[0].strip() == str(N_ROWS)
        times = service.times_asked
        assert set(times) == {str(n) for n in range(N_ROWS)}
        assert max(times.values()) <= 2
        assert N_ROWS <= service.n_requests <= N_ROWS + CONCURRENCY

        n_all = service.n_requests
        client = open_client("openai:m", service.openai_url, cache=tmp_path / "c.db", environ={})
        outcomes = ask_all(client, [(str(n), LLMRequest("cusa/1", "", str(n))) for n in range(N_ROWS)])
        assert all(outcome.kind == "reply" for _, outcome in outcomes)
        assert service.n_requests == n_all  # nothing is asked a third time
