from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from local_service import Asked, LocalService
from made_platform import read

from toxitrace.errors import ConfigError
from toxitrace.explore import SeedItem, SpanQueries
from toxitrace.explore.tasks import open_generator, write_queries
from toxitrace.explore.tasks.open_generator import ServiceOptions, check_spec

ITEMS = [SeedItem(f"i{n}", f"你真是个笨蛋{n}", ((4, 6),)) for n in range(5)]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_queries, "CHUNK", 2)


def written(output: Path, generator: str = "spans", **more: Any) -> Any:
    return write_queries.write_queries(ITEMS, output, generator, settings={}, **more)


def test_every_item_has_its_row_in_the_order_of_the_items(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    report = written(tmp_path / "q.jsonl", told=lambda *n: told.append(n))
    assert [row["id"] for row in read(tmp_path / "q.jsonl")] == [item.id for item in ITEMS]
    assert (report.n_items, report.n_queries, report.n_left) == (5, 5, 0)
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_a_run_that_was_stopped_goes_on_with_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Stopping(SpanQueries):
        def queries(self, items: Sequence[SeedItem]) -> list[list[str]]:
            asked.extend(item.id for item in items)
            if len(asked) == 4:
                raise KeyboardInterrupt
            return super().queries(items)

    monkeypatch.setitem(open_generator.RULES, "spans", Stopping)
    output = tmp_path / "q.jsonl"
    with pytest.raises(KeyboardInterrupt):
        written(output)
    assert len(read(output)) == 2
    asked.append("one more, so that it does not stop again")
    assert written(output, resume=True).n_items == 5
    assert asked.count("i0") == 1
    before = output.read_bytes()
    assert written(output, resume=True).n_items == 5
    assert output.read_bytes() == before


def test_what_a_service_failed_to_answer_is_left_and_asked_again(tmp_path: Path, loopback_only: None) -> None:
    broken = {"4"}

    def answer(asked: Asked) -> str:
        text = json.loads(asked.content)["items"][0]["text"]
        return "{" if text[-1] in broken else json.dumps({"queries": [text[4:]]})

    output = tmp_path / "q.jsonl"
    with LocalService(answer) as service:
        options = ServiceOptions(url=service.openai_url, max_requests=3)
        report = written(output, "openai:any", service=options)
        assert (report.n_items, report.n_left) == (3, 2)
        assert "max-requests" in report.reason
        more = ServiceOptions(url=service.openai_url, max_requests=9)
        report = written(output, "openai:any", service=more, resume=True)
        assert service.n_requests == 5
    assert (report.n_items, report.n_left, report.n_without) == (5, 0, 1)
    rows = read(output)
    assert [row["queries"] for row in rows] == [["笨蛋0"], ["笨蛋1"], ["笨蛋2"], ["笨蛋3"], []]


@pytest.mark.parametrize("spec", [None, "", "nobody", "lm:", "openai: ", "spans:x"])
def test_a_generator_that_is_none_is_refused(spec: str | None) -> None:
    with pytest.raises(ConfigError, match="--generator is"):
        check_spec(spec)


@pytest.mark.parametrize("spec", ["whole", "keywords-joined", "spans", "lm:Qwen/Qwen3-8B", "replay:x", "recorded:x"])
def test_every_kind_of_generator_is_known(spec: str) -> None:
    assert check_spec(spec) == spec.partition(":")[0]


def test_a_generator_that_cannot_be_opened_leaves_no_file_behind(tmp_path: Path, loopback_only: None) -> None:
    secret = ServiceOptions(url="http://bob:hidden@127.0.0.1:1/v1")
    with pytest.raises(ConfigError, match="holds a user"):
        written(tmp_path / "q.jsonl", "openai:any", service=secret)
    assert list(tmp_path.iterdir()) == []
    assert written(tmp_path / "q.jsonl").n_items == 5
    with pytest.raises(ConfigError, match="exists"):
        written(tmp_path / "q.jsonl")
    assert len(read(tmp_path / "q.jsonl")) == 5


def test_replies_without_a_query_are_counted_apart_from_refusals(tmp_path: Path, loopback_only: None) -> None:
    answers = {"0": "抱歉，我无法提供这样的内容。", "1": "[]", "2": "{}"}

    def answer(asked: Asked) -> str:
        text = json.loads(asked.content)["items"][0]["text"]
        return answers.get(text[-1], json.dumps({"queries": ["笨蛋"]}))

    with LocalService(answer) as service:
        report = written(tmp_path / "q.jsonl", "openai:any", service=ServiceOptions(url=service.openai_url))
    assert (report.n_refused, report.n_unusable, report.n_without) == (1, 2, 3)
