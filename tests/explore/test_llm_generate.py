from __future__ import annotations

import json
from pathlib import Path

from toxitrace.errors import LLMError
from toxitrace.explore import LLMGenerator, SeedItem, query_request
from toxitrace.llm import LLMReply, LLMRequest, ReplayClient

ITEMS = [SeedItem(id, text, ((0, 2),)) for id, text in (("a", "笨蛋"), ("b", "骗子"), ("c", "懒虫"), ("d", "蠢货"))]


class Service:
    """Answers by what the text is; the answers come back in no particular order."""

    model = "fake"

    def complete(self, request: LLMRequest) -> LLMReply:
        text = json.loads(request.content)["items"][0]["text"]
        if text == "骗子":
            raise LLMError("down", retryable=True)
        if text == "懒虫":
            return LLMReply("", "blocked", "fake")
        if text == "蠢货":
            return LLMReply("抱歉，我无法提供。", "stop", "fake")
        return LLMReply(json.dumps({"queries": [text, f"大{text}{request.sample}"]}), "stop", "fake")


def test_replies_refusals_and_failures_each_find_their_item() -> None:
    generator = LLMGenerator(Service(), concurrency=3)
    assert generator.queries(ITEMS) == [["笨蛋", "大笨蛋0"], [], [], []]
    assert generator.failures.keys() == {"b"}
    assert generator.counts.n_refused == 2
    assert generator.counts.n_replies == 3


def test_several_draws_give_their_distinct_queries_in_order() -> None:
    assert LLMGenerator(Service(), n_replies=2).queries(ITEMS[:1]) == [["笨蛋", "大笨蛋0", "大笨蛋1"]]


def test_a_recording_stands_for_the_service(tmp_path: Path) -> None:
    request = query_request(ITEMS[:1])
    row = {"prompt_version": request.prompt_version, "content": request.content, "reply": '{"queries": ["笨蛋"]}'}
    (tmp_path / "r.jsonl").write_text(json.dumps(row) + "\n")
    assert LLMGenerator(ReplayClient(tmp_path / "r.jsonl")).queries(ITEMS[:1]) == [["笨蛋"]]
