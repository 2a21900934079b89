from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from made_platform import read

from toxitrace.errors import DataError
from toxitrace.explore import KeepRule
from toxitrace.explore.tasks import write_rewards
from toxitrace.explore.tasks.judging import Judging
from toxitrace.search import Hit, Item, SearchError
from toxitrace.types import Prediction

QUERIES = {"a": ["笨蛋", "没有这个东西的一句很长的话"], "b": ["骗子"], "c": []}
LABELS = {"a": True, "b": True, "x": False, "y": True}


class Engine:
    """Finds x and y for every query but a long one; gone after so many queries."""

    def __init__(self, n_alive: int = 99) -> None:
        self.asked: list[str] = []
        self._n_alive = n_alive

    def index(self, items: Iterable[Item]) -> None:
        raise NotImplementedError

    def search(self, query: str, k: int = 100, exclude: Collection[str] = ()) -> list[Hit]:
        return self.search_many([query], k, [exclude])[0]

    def search_many(
        self, queries: Sequence[str], k: int = 100, exclude: Sequence[Collection[str]] | None = None
    ) -> list[list[Hit]]:
        self.asked += queries
        if len(self.asked) > self._n_alive:
            raise SearchError("the index is gone", retryable=True)
        return [[] if len(query) > 10 else [Hit("x", 2.0), Hit("y", 1.0)] for query in queries]

    def __len__(self) -> int:
        return 4


class Detector:
    """Calls everything with 笨 in it toxic."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def predict(self, texts: Iterable[str], /) -> list[Prediction]:
        self.calls.append(list(texts))
        return [Prediction(text, "笨" in text, 0.5, (), False) for text in self.calls[-1]]


def rewarded(output: Path, engine: Engine, judging: Judging | None = None, **more: Any) -> Any:
    return write_rewards.write_rewards(QUERIES, output, engine, judging or Judging(LABELS), settings={}, **more)


def test_every_query_has_its_row_and_the_rule_says_what_is_kept(tmp_path: Path) -> None:
    report = rewarded(tmp_path / "r.jsonl", Engine(), rule=KeepRule(min_hits=1, max_chars=0))
    rows = read(tmp_path / "r.jsonl")
    assert [(row["id"], row["rank"], row["hit"], row["tihr"], row["kept"]) for row in rows] == [
        ("a", 0, 1, 0.5, True),
        ("a", 1, 0, 0.0, False),
        ("b", 0, 1, 0.5, True),
    ]
    assert (report.n_kept, report.n_dropped, report.n_without_results) == (2, 1, 1)
    assert report.qhr == pytest.approx(2 / 3)
    assert report.qhr_at["0.5"] == 0.0
    assert report.mean_tihr == pytest.approx(1 / 3)
    assert report.mean_precision_at_10 == pytest.approx(0.2 / 3)
    assert report.base_rate == 0.75


def test_an_index_that_vanishes_leaves_what_was_found_and_nothing_is_searched_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_rewards, "CHUNK", 1)
    output = tmp_path / "r.jsonl"
    engine = Engine(n_alive=1)
    with pytest.raises(SearchError):
        rewarded(output, engine)
    assert len(read(output)) == 1
    again = Engine()
    assert rewarded(output, again, resume=True).n_queries == 3
    assert again.asked == [*QUERIES["a"][1:], "骗子"]
    whole = tmp_path / "whole.jsonl"
    rewarded(whole, Engine())
    assert output.read_bytes() == whole.read_bytes()


def test_the_detector_judges_in_batches_what_has_no_label_and_each_post_once(tmp_path: Path) -> None:
    detector = Detector()
    judging = Judging({"x": False}, {"x": "x", "y": "真笨", "a": "a", "b": "b"}, detector)
    report = rewarded(tmp_path / "r.jsonl", Engine(), judging)
    assert detector.calls == [["真笨"]]
    assert (report.n_by_detector, report.base_rate) == (1, None)
    assert report.mean_tihr == pytest.approx(1 / 3)


def test_a_post_that_nobody_can_judge_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'y', which has no label and no text"):
        rewarded(tmp_path / "r.jsonl", Engine(), Judging({"x": False}))
