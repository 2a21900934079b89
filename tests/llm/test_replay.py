from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fake_llm import FakeLLM, ask, say

from toxitrace.errors import ConfigError, DataError, LLMError
from toxitrace.llm import RecordingClient, ReplayClient


def test_what_was_recorded_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "r" / "recorded.jsonl"
    replies = [say("笨蛋", prompt_tokens=3, output_tokens=2), say("", finish="blocked"), say("\ud83d")]
    recorder = RecordingClient(FakeLLM(*replies), path)
    requests = [ask("甲"), ask("乙"), ask("乙", sample=1)]
    assert [recorder.complete(request) for request in requests] == replies
    replay = ReplayClient(path)
    assert [replay.complete(request) for request in requests] == replies
    assert (recorder.model, replay.model) == ("fake", "replay:recorded.jsonl")


def test_a_recording_goes_on_where_it_stopped_and_holds_each_request_once(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    for _ in range(2):
        recorder = RecordingClient(FakeLLM(), path)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n, to=recorder: to.complete(ask(str(n % 20))), range(100)))
    assert len(path.read_text().splitlines()) == 20
    ReplayClient(path)


def test_a_reply_may_be_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    row = {"prompt_version": "cusa/1", "content": "甲", "reply": '{"spans": []}'}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n\n", encoding="utf-8")
    reply = ReplayClient(path).complete(ask("甲"))
    assert (reply.text, reply.finish) == ('{"spans": []}', "stop")


def test_a_request_that_was_not_recorded_is_an_error_without_its_text(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("")
    with pytest.raises(LLMError, match=r"r\.jsonl holds no reply for a request of 'cusa/1'") as caught:
        ReplayClient(path).complete(ask("闭嘴"))
    assert "闭" not in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no valid JSON"),
        ("[]", "a JSON list"),
        ('{"content": "a", "reply": "b"}', "prompt_version, content or sample"),
        ('{"prompt_version": "p", "content": "a"}', "no reply with a text"),
        ('{"prompt_version": "p", "content": "a", "reply": {"text": "b", "finish": "odd"}}', "finish is 'odd'"),
        ('{"prompt_version": "p", "content": "x", "reply": "other"}', "recorded with another reply"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"prompt_version": "p", "content": "x", "reply": "y"}\n' + line + "\n")
    with pytest.raises(DataError, match=rf"r\.jsonl:2: .*{message}"):
        ReplayClient(path)


def test_a_missing_recording_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read"):
        ReplayClient(tmp_path / "none.jsonl")


def test_a_recording_that_cannot_be_written_is_found_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        RecordingClient(FakeLLM(), tmp_path / "file" / "r.jsonl")
