"""Draws have their own seeds, rows their ids, and a run that was killed goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from toxitrace.errors import ConfigError, DataError
from toxitrace.expand.answers import copy_recorded_answers, read_answers, write_answers
from toxitrace.expand.asking import ServiceAsker
from toxitrace.expand.beir import read_retrieval_set
from toxitrace.expand.candidates import Sampling, first_expansions, read_candidates, write_candidates
from toxitrace.llm import LLMReply, LLMRequest, Outcome

QUERIES = {"a": "什么是猫？", "b": "什么是狗？", "c": "什么是茶？"}
TWO = Sampling(temperatures=(0.5, 1.0), samples=2, max_new_tokens=9, seed=4)


class Writer:
    """Answers with the seed of the draw; ids in ``broken`` fail."""

    model = "writer"

    def __init__(self, broken: Iterable[str] = (), reverse: bool = False) -> None:
        self.broken, self.reverse, self.asked = set(broken), reverse, list[LLMRequest]()

    def answers(self, requests: Iterable[tuple[str, LLMRequest]]) -> Iterator[tuple[str, Outcome]]:
        for id, request in sorted(requests, reverse=self.reverse):
            self.asked.append(request)
            if id.partition(":")[2] in self.broken:
                yield id, Outcome("failed", error="busy")
            else:
                yield id, Outcome("reply", LLMReply(f"短文：{request.sample}", "stop", "writer"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(path: Path) -> dict[str, list[str]]:
    return {row["id"]: [item["text"] for item in row["candidates"]] for row in lines(path)}


def test_every_draw_of_every_query_has_its_own_seed_whatever_the_order(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    write_candidates(QUERIES, one, Writer(), TWO)
    write_candidates(dict(reversed(QUERIES.items())), other, Writer(reverse=True), TWO)
    assert texts(one) == texts(other)
    assert len({text for drawn in texts(one).values() for text in drawn}) == 12
    assert list(texts(one)) == ["a", "b", "c"]
    assert [(item["temperature"], item["sample"]) for item in lines(one)[0]["candidates"]] == TWO.draws()


def test_another_seed_draws_anew_and_another_temperature_leaves_the_others_alone(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.jsonl" for n in range(3)]
    write_candidates(QUERIES, paths[0], Writer(), TWO)
    write_candidates(QUERIES, paths[1], Writer(), Sampling((0.5, 1.0), 2, 9, seed=5))
    write_candidates(QUERIES, paths[2], Writer(), Sampling((0.7, 1.0), 2, 9, seed=4))
    first, second, third = map(texts, paths)
    assert not set(first["a"]) & set(second["a"])
    assert first["a"][2:] == third["a"][2:]


def test_a_run_goes_on_where_it_stopped_and_asks_nothing_twice(tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    report = write_candidates(QUERIES, output, Writer(broken={"b"}), TWO)
    assert (report.n_rows, report.n_left, report.reason) == (2, 1, "busy")
    with open(output, "a", encoding="utf-8") as file:
        file.write('{"id": "b", "quer')  # killed while it wrote
    writer = Writer()
    report = write_candidates(QUERIES, output, writer, TWO, resume=True)
    assert (report.n_rows, report.n_left) == (3, 0)
    assert {json.loads(request.content)["query"] for request in writer.asked} == {QUERIES["b"]}
    fresh = tmp_path / "fresh.jsonl"
    write_candidates(QUERIES, fresh, Writer(), TWO)
    assert output.read_bytes() == fresh.read_bytes()


def test_a_query_whose_text_has_changed_is_asked_again(tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    write_candidates(QUERIES, output, Writer(), TWO)
    writer = Writer()
    write_candidates(QUERIES | {"a": "猫是什么？"}, output, writer, TWO, resume=True)
    assert len(writer.asked) == 4
    assert [row["query"] for row in lines(output)] == ["猫是什么？", QUERIES["b"], QUERIES["c"]]


def test_an_output_is_neither_overwritten_nor_continued_with_other_settings(tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    write_candidates(QUERIES, output, Writer(), TWO)
    with pytest.raises(ConfigError, match="exists"):
        write_candidates(QUERIES, output, Writer(), TWO)
    with pytest.raises(ConfigError, match="seed was 4 and is 9"):
        write_candidates(QUERIES, output, Writer(), Sampling((0.5, 1.0), 2, 9, seed=9), resume=True)


def test_one_client_of_the_llm_room_can_write_them(tmp_path: Path) -> None:
    class Client:
        model = "client"

        def complete(self, request: LLMRequest) -> LLMReply:
            return LLMReply("", "blocked", "client")

    report = write_candidates(QUERIES, tmp_path / "x.jsonl", ServiceAsker(Client()), TWO)
    assert (report.n_rows, report.n_without_text) == (3, 3)
    assert first_expansions(read_candidates(tmp_path / "x.jsonl")) == {}


def test_answers_are_asked_from_the_gold_document_and_joined_by_id(retrieval_set: Path, tmp_path: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    writer = Writer()
    write_answers(data, tmp_path / "answers.jsonl", writer, seed=1)
    asked = json.loads(writer.asked[0].content)
    assert asked["document"] == data.documents[data.gold("q0-0") or ""]
    assert set(read_answers(tmp_path / "answers.jsonl")) == set(data.queries)


def test_recorded_answers_need_no_model(retrieval_set: Path, tmp_path: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    assert copy_recorded_answers(data, tmp_path / "answers.jsonl") == 8
    assert read_answers(tmp_path / "answers.jsonl")["q3-1"] == "人们喜欢雨"


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a", "text": "x"}\n')
    with pytest.raises(DataError, match="no candidates"):
        read_candidates(path)
