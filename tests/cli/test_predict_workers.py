"""``predict --workers`` as the shell starts it: same bytes, and no process left behind however a run ends."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toxitrace.cli.main import main

PATIENCE_SECONDS = 60  # for a machine that has other things to do

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = ["早上好", "你真是个笨蛋", "滚", "今天吃了吗"]
    lines = [json.dumps({"id": f"n{i}", "text": texts[i % 4] * (i % 5) + str(i)}) for i in range(8_000)]
    lines[100] = lines[4_500] = "{broken"
    path = tmp_path_factory.mktemp("workers") / "in.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(source: Path, export: Path) -> bytes:
    """What one process makes of it."""
    output = source.parent / "whole.jsonl"
    arguments = ["predict", "--input", source, "--model", export, "--output", output, "--threads", "1"]
    assert main(list(map(str, arguments))) == 1
    answers = output.read_bytes()
    assert answers.count(b"\n") == 7_998
    return answers


class Run:
    """A run of two workers in a process group of its own."""

    def __init__(self, source: Path, export: Path, output: Path, *more: str) -> None:
        arguments = ["--input", source, "--model", export, "--output", output, "--workers", "2", *more]
        self.output = output
        self.size_before = output.stat().st_size if output.exists() else 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "toxitrace", "predict", *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                os.killpg(self.process.pid, signal.SIGKILL)
                pytest.fail(f"nothing came of it: {self.process.communicate()[1]}")
            time.sleep(0.001)

    def wait_for_output(self, n_bytes: int = 1) -> None:
        """Until it has written so much, or ends."""
        wanted = self.size_before + n_bytes
        self.wait_for(
            lambda: self.process.poll() is not None or (self.output.exists() and self.output.stat().st_size >= wanted)
        )

    def alive(self) -> list[int]:
        """Processes of the group that are not just waiting to be buried."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, group = path.read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == self.process.pid and state not in "ZX":
                found.append(int(path.parent.name))
        return found

    def workers(self) -> list[int]:
        """Children that score; multiprocessing's resource tracker is another one."""
        return [pid for pid in self.alive() if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def end(self) -> tuple[int, str]:
        _, messages = self.process.communicate(timeout=PATIENCE_SECONDS)
        self.wait_for(lambda: not self.alive())
        return self.process.returncode, messages


@pytest.fixture
def start(source: Path, export: Path, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(*more: str) -> Run:
        runs.append(Run(source, export, tmp_path / "out.jsonl", *more))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.communicate()


def test_two_workers_write_the_bytes_of_one_process(start: Callable[..., Run], whole: bytes, source: Path) -> None:
    run = start()
    _, messages = run.process.communicate(timeout=PATIENCE_SECONDS)
    assert run.process.returncode == 1
    assert run.output.read_bytes() == whole
    assert (source.parent / "in.jsonl.rejected").read_bytes() == b"{broken\n{broken\n"
    assert messages.splitlines()[-1].startswith("7,998 texts, ")
    assert messages.endswith(", 2 workers\n")


@needs_proc
def test_a_run_killed_again_and_again_ends_with_the_same_bytes_and_no_orphans(
    start: Callable[..., Run], whole: bytes, export: Path
) -> None:
    chance = random.Random(20)
    for attempt in range(3):
        run = start("--resume")
        run.wait_for_output(chance.randrange(1, len(whole) // 3))
        assert run.process.poll() is None
        run.process.kill()
        assert run.end()[0] == -signal.SIGKILL, attempt
        assert (run.output.parent / "out.jsonl.progress").exists()
    assert 0 < run.output.stat().st_size < len(whole)
    assert start("--resume").end()[0] == 1
    assert run.output.read_bytes() == whole
    assert sorted(path.name for path in run.output.parent.iterdir()) == ["out.jsonl"]


@needs_proc
def test_a_worker_that_is_killed_ends_the_run_with_one_clear_line(start: Callable[..., Run], whole: bytes) -> None:
    run = start()
    run.wait_for_output()
    os.kill(run.workers()[0], signal.SIGKILL)
    code, messages = run.end()
    assert code == 1
    errors = [line for line in messages.splitlines() if "broken" not in line and "no valid JSON" not in line]
    assert len(errors) == 1
    assert "was killed by SIGKILL" in errors[0]
    assert "--resume" in errors[0]
    assert whole.startswith(run.output.read_bytes())
    assert start("--resume").end()[0] == 1
    assert run.output.read_bytes() == whole


@needs_proc
@pytest.mark.parametrize("moment", ["while workers start", "at work"])
def test_ctrl_c_ends_every_process_with_one_line(start: Callable[..., Run], moment: str) -> None:
    run = start()
    if moment == "at work":
        run.wait_for_output()
    else:
        run.wait_for(run.workers)
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    code, messages = run.end()
    assert code == 130
    lines = [line for line in messages.splitlines() if "no valid JSON" not in line]
    assert lines == ["toxitrace: error: interrupted"], messages


@needs_proc
def test_a_parent_killed_while_its_workers_start_leaves_no_orphans(start: Callable[..., Run]) -> None:
    run = start()
    run.wait_for(lambda: len(run.workers()) == 2)
    run.process.kill()
    assert run.end()[0] == -signal.SIGKILL


def test_a_model_that_does_not_load_is_one_line_and_leaves_an_older_output_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("a\n")
    (tmp_path / "out").write_text("precious")
    arguments = ["--input", tmp_path / "in.txt", "--output", tmp_path / "out", "--model", tmp_path, "--workers", "2"]
    assert main(["predict", *map(str, arguments)]) == 1
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "toxitrace.json" in err
    assert (tmp_path / "out").read_text() == "precious"
