from __future__ import annotations

import dataclasses
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fake_llm import SCHEMA, FakeLLM, ask, say

from toxitrace.errors import ConfigError, LLMError
from toxitrace.llm import CachedClient, LLMReply, LLMRequest, cache_key


def test_a_request_is_asked_once_and_then_answered_from_the_file(tmp_path: Path) -> None:
    reply = say("你好", finish="length", prompt_tokens=3, output_tokens=4)
    first = CachedClient(FakeLLM(reply), tmp_path / "c.db")
    assert first.complete(ask()) == reply
    assert first.complete(ask()) == reply
    first.close()
    inner = FakeLLM()
    again = CachedClient(inner, tmp_path / "c.db")
    assert again.complete(ask()) == reply
    assert (inner.asked, again.n_hits, again.model) == ([], 1, "fake")


@pytest.mark.parametrize("finish", ["blocked", "length"])
def test_blocked_and_cut_replies_are_kept_too(tmp_path: Path, finish: str) -> None:
    inner = FakeLLM(say("", finish=finish))
    client = CachedClient(inner, tmp_path / "c.db")
    assert [client.complete(ask()).finish for _ in range(2)] == [finish, finish]
    assert len(inner.asked) == 1


def test_errors_are_not_kept(tmp_path: Path) -> None:
    inner = FakeLLM(LLMError("busy"), say("好"))
    client = CachedClient(inner, tmp_path / "c.db")
    with pytest.raises(LLMError, match="busy"):
        client.complete(ask())
    assert client.complete(ask()).text == "好"


def test_every_field_of_a_request_and_the_model_are_in_the_key() -> None:
    changes = {
        "prompt_version": "cusa/2",
        "system": "x",
        "content": "y",
        "schema": SCHEMA,
        "max_output_tokens": 1,
        "temperature": 0.5,
        "thinking_tokens": 0,
        "sample": 1,
    }
    assert set(changes) == {field.name for field in dataclasses.fields(LLMRequest)}
    keys = {cache_key("m", dataclasses.replace(ask(), **{name: value})) for name, value in changes.items()}
    assert len(keys | {cache_key("m", ask()), cache_key("n", ask())}) == len(changes) + 2


def test_the_order_of_a_schema_is_not_in_the_key() -> None:
    turned = dict(reversed(SCHEMA.items()))
    assert cache_key("m", ask(schema=SCHEMA)) == cache_key("m", ask(schema=turned))


def test_the_cache_says_what_it_holds(tmp_path: Path) -> None:
    client = CachedClient(FakeLLM(), tmp_path / "c.db")
    client.complete(ask("甲"))
    assert ask("甲") in client
    assert ask("乙") not in client


def test_equal_requests_at_the_same_time_are_asked_once(tmp_path: Path) -> None:
    gate = threading.Event()

    def slow(request: LLMRequest) -> LLMReply:
        gate.wait(5)
        return say(request.content)

    inner = FakeLLM(answer=slow)
    client = CachedClient(inner, tmp_path / "c.db")
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(client.complete, ask("甲" if n % 2 else "乙")) for n in range(8)]
        threading.Timer(0.1, gate.set).start()
        assert {future.result().text for future in running} == {"甲", "乙"}
    assert len(inner.asked) == 2


def test_those_who_wait_for_an_equal_request_share_its_error(tmp_path: Path) -> None:
    gate = threading.Event()

    def slow(request: LLMRequest) -> LLMReply:
        gate.wait(5)
        raise LLMError("no luck")

    inner = FakeLLM(answer=slow)
    client = CachedClient(inner, tmp_path / "c.db")
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(client.complete, ask()) for _ in range(4)]
        threading.Timer(0.1, gate.set).start()
        assert {str(future.exception()) for future in running} == {"no luck"}
    assert len(inner.asked) == 1


def test_many_threads_and_two_clients_share_one_file(tmp_path: Path) -> None:
    clients = [CachedClient(FakeLLM(), tmp_path / "c.db") for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: clients[n % 2].complete(ask(str(n))), range(200)))
    late = FakeLLM()
    client = CachedClient(late, tmp_path / "c.db")
    assert [client.complete(ask(str(n))).text for n in range(200)] == [str(n) for n in range(200)]
    assert late.asked == []


def test_half_a_character_is_kept_as_it_is(tmp_path: Path) -> None:
    client = CachedClient(FakeLLM(), tmp_path / "c.db")
    for _ in range(2):
        assert client.complete(ask("笨\ud83d")).text == "笨\ud83d"


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_text("你好" * 1000, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"c\.db cannot be opened .*move the file away") as caught:
        CachedClient(FakeLLM(), path)
    assert "paid again" in str(caught.value)
    assert path.read_text(encoding="utf-8") == "你好" * 1000


def test_a_damaged_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    client = CachedClient(FakeLLM(), path)
    for n in range(300):
        client.complete(ask(str(n)))
    client.close()
    content = bytearray(path.read_bytes())
    content[4096:12288] = b"\xff" * 8192
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"c\.db .*(damaged|malformed).*move the file away"):
        CachedClient(FakeLLM(), path)


def test_damage_during_a_run_ends_it_before_anything_more_is_paid(tmp_path: Path) -> None:
    inner = FakeLLM()
    client = CachedClient(inner, tmp_path / "c.db")
    client.complete(ask("甲"))
    with sqlite3.connect(tmp_path / "c.db") as other:
        other.execute("UPDATE replies SET reply = '{}'")
    with pytest.raises(LLMError, match="could not read a reply") as caught:
        client.complete(ask("甲"))
    assert (caught.value.every_request, len(inner.asked)) == (True, 1)


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "c.db") as other:
        other.execute("CREATE TABLE mine (x)")
    before = (tmp_path / "c.db").read_bytes()
    with pytest.raises(ConfigError, match="an SQLite file of something else"):
        CachedClient(FakeLLM(), tmp_path / "c.db")
    assert (tmp_path / "c.db").read_bytes() == before


def test_a_folder_in_the_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        CachedClient(FakeLLM(), tmp_path)


def test_one_name_on_two_servers_is_two_models(tmp_path: Path) -> None:
    for server in (None, "http://localhost:1/v1", "http://localhost:2/v1"):
        inner = FakeLLM(say("好"))
        CachedClient(inner, tmp_path / "c.db", server).complete(ask())
        assert len(inner.asked) == 1
