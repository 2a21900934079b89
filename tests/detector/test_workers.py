from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toxitrace.detector import workers as room
from toxitrace.detector.bulk import Scored
from toxitrace.detector.job import ScoringJob
from toxitrace.detector.records import Record
from toxitrace.detector.workers import Workers, scoring
from toxitrace.errors import ConfigError, ToxitraceError


def chunks(n_chunks: int, taken: list[int]) -> Iterator[list[Record]]:
    """Chunks of very different lengths, so that later ones are done before earlier ones."""
    for number in range(n_chunks):
        taken.append(number)
        yield [Record(number, "早" * (1 + 3_000 * (number % 5 == 0)), number)]


def ids(scored: Scored) -> str:
    return scored.rows.decode().split(",")[0]


def test_answers_come_in_order_and_chunks_are_read_no_faster_than_they_are_taken(export: Path) -> None:
    taken: list[int] = []
    with Workers(ScoringJob(export, threads=1), 2) as pool:
        answers = pool.score(chunks(40, taken))
        assert ids(next(answers)) == '{"id": 0'
        assert len(taken) <= 2 * room._CHUNKS_IN_FLIGHT + 1
        assert [ids(scored) for scored in answers] == [f'{{"id": {i}' for i in range(1, 40)]
        failing: Any = [[Record(0, 7, 0)]]  # type: ignore[arg-type]
        with pytest.raises(ToxitraceError, match="expected a str") as caught:
            list(pool.score(iter(failing)))
    assert "In a worker process:\nTraceback" in caught.value.__notes__[0]


def test_one_worker_is_this_process(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "Workers", None)
    with scoring(ScoringJob(export, threads=1), 1) as score:
        assert len(list(score(chunks(3, [])))) == 3


def test_what_is_wrong_with_a_setting_comes_back_as_the_error_it_is(export: Path) -> None:
    with (
        pytest.raises(ConfigError, match="expected a probability"),
        scoring(ScoringJob(export, threshold=7.0, threads=1), 2),
    ):
        pass
