from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="there are no file locks here")

from toxitrace.annotate.lock import only_run
from toxitrace.errors import DataError


def test_a_second_run_on_the_same_output_is_refused_while_the_first_lasts(tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    with only_run(output):
        with pytest.raises(DataError, match=r"another run is writing to .*rows\.jsonl"), only_run(output):
            pass
        with only_run(tmp_path / "other.jsonl"):
            pass
    with only_run(output):
        pass
    assert not list(tmp_path.iterdir())


def test_what_an_ended_process_left_locks_nobody_out(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl.lock").touch()
    with only_run(tmp_path / "rows.jsonl"):
        pass
