"""Milvus Lite: agreement with BM25 in memory, and what happens when the service fails."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from brute_bm25 import assert_best, bm25
from search_corpus import ITEMS, word_vectors

from toxitrace.errors import ConfigError, DataError
from toxitrace.search import BM25Engine, Item, MilvusEngine, SearchError, milvus, milvus_service, open_engine


@pytest.fixture
def made(milvus_file: Path) -> Callable[..., MilvusEngine]:
    return lambda collection, **options: MilvusEngine(str(milvus_file), collection, **options)


def test_it_agrees_with_bm25_in_memory(made: Callable[..., MilvusEngine]) -> None:
    rng = random.Random(0)
    words = ["骗子", "笨蛋", "天气", "真好", "ＤＡＮ", "🐒", "你", "我们"]
    items = [Item(f"{number:03}", "，".join(rng.choices(words, k=rng.randint(0, 6)))) for number in range(150)]
    in_memory, service = BM25Engine(), made("agreement")
    in_memory.index(items)
    service.index(items)
    queries = ["骗子 笨蛋 笨蛋", "我们🐒", "天气", "dan 真好"]
    for query, hits, others in zip(
        queries, service.search_many(queries, 20), in_memory.search_many(queries, 20), strict=True
    ):
        assert_best(hits, bm25(items, query), 20)
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in others], rel=1e-4)


def test_many_equal_items_are_cut_by_id(made: Callable[..., MilvusEngine]) -> None:
    engine = made("equal")
    engine.index(Item(f"{number:03}", "骗子") for number in range(100))
    assert [hit.id for hit in engine.search("骗子", 3, ["001"])] == ["000", "002", "003"]


def test_indexing_again_replaces_the_collection(made: Callable[..., MilvusEngine]) -> None:
    engine = made("again")
    engine.index(ITEMS)
    engine.index([Item("new", "骗子")])
    assert [hit.id for hit in engine.search("骗子")] == ["new"]
    assert len(engine) == 1


def test_an_index_that_fails_leaves_the_old_one(made: Callable[..., MilvusEngine]) -> None:
    engine = made("kept", dense=word_vectors)
    engine.index(ITEMS)
    before = engine.search("骗子")
    engine._dense = lambda texts: word_vectors(texts)[:1]
    with pytest.raises(ConfigError, match="one finite vector"):
        engine.index([Item("new", "骗子"), Item("newer", "骗子")])
    assert engine.search("骗子") == before


def test_a_later_process_finds_what_was_indexed(made: Callable[..., MilvusEngine], milvus_file: Path) -> None:
    engine = made("kept_open")
    engine.index(ITEMS)
    assert open_engine(f"milvus:{milvus_file}#kept_open").search("骗子") == engine.search("骗子")


def test_a_collection_that_vanishes_is_one_clear_line(
    made: Callable[..., MilvusEngine], capfd: pytest.CaptureFixture[str]
) -> None:
    engine = made("vanishing")
    engine.index(ITEMS)
    engine._client.drop_collection("vanishing")
    with pytest.raises(SearchError, match=r"'vanishing' is not in Milvus .*index the items again") as caught:
        engine.search("骗子")
    assert "\n" not in str(caught.value)
    assert not caught.value.retryable
    assert capfd.readouterr().err == ""


def test_a_collection_of_something_else_is_refused(made: Callable[..., MilvusEngine]) -> None:
    engine = made("foreign")
    engine._client.create_collection("foreign", dimension=4)
    with pytest.raises(SearchError, match=r"'foreign'.*index the items again"):
        engine.search("骗子")


def test_a_search_by_vectors_needs_their_field(made: Callable[..., MilvusEngine]) -> None:
    made("words_only").index(ITEMS)
    with pytest.raises(SearchError, match="a field dense"):
        made("words_only", dense=word_vectors, by="dense").search("骗子")


def test_a_server_that_does_not_answer_is_one_clear_line() -> None:
    with pytest.raises(SearchError, match=r"Milvus at http://127\.0\.0\.1:9 failed on the connection") as caught:
        MilvusEngine("http://127.0.0.1:9", timeout_seconds=1)
    assert "\n" not in str(caught.value)
    assert caught.value.retryable


def test_a_server_that_goes_away_is_an_error_of_search_that_may_be_tried_again(tmp_path: Path) -> None:
    server_module = pytest.importorskip("milvus_lite.adapter.grpc.server", reason="milvus-lite is not installed")
    server, database, port = server_module.start_server_in_thread(str(tmp_path / "served"))
    engine = MilvusEngine(f"http://127.0.0.1:{port}", timeout_seconds=2)
    engine.index(ITEMS)
    assert len(engine.search("你是骗子", 2)) == 2
    server.stop(grace=0).wait()
    database.close()
    with pytest.raises(SearchError, match=rf"http://127\.0\.0\.1:{port}") as caught:
        engine.search("骗子")
    assert caught.value.retryable
    assert "\n" not in str(caught.value)


def test_an_idle_file_is_not_pinged(made: Callable[..., MilvusEngine]) -> None:
    """Lite's server hangs up on a client that asks every ten seconds, and gRPC says so on the terminal."""
    handler = made("idle")._client._get_connection()
    assert handler._grpc_options == milvus_service._NO_PINGS


@pytest.mark.parametrize(("own", "kept"), [(None, "NONE"), ("INFO", "INFO")])
def test_grpcs_own_log_is_off_unless_asked_for(own: str | None, kept: str, tmp_path: Path) -> None:
    code = (
        "import os, sys; from toxitrace.search import MilvusEngine; MilvusEngine(sys.argv[1]).close();"
        "print(os.environ['GRPC_VERBOSITY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    environment |= {} if own is None else {"GRPC_VERBOSITY": own}
    command = [sys.executable, "-c", code, str(tmp_path / "quiet.db")]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [kept]


def test_a_file_that_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "taken.db").write_text("no database")
    with pytest.raises(SearchError, match="opening the file") as caught:
        MilvusEngine(str(tmp_path / "taken.db"))
    assert "\n" not in str(caught.value)


def test_a_closed_connection_is_an_error_of_search(made: Callable[..., MilvusEngine]) -> None:
    engine = made("closed")
    engine.index(ITEMS)
    engine.close()
    with pytest.raises(SearchError):
        engine.search("骗子")


def test_a_text_too_long_for_its_field_is_cut_and_counted(
    made: Callable[..., MilvusEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus, "MAX_WORDS_BYTES", 40)
    engine = made("long")
    engine.index([Item("short", "骗子"), Item("long", "骗子，" * 20 + "笨蛋")])
    assert engine.n_truncated == 1
    assert {hit.id for hit in engine.search("骗子")} == {"short", "long"}
    assert engine.search("笨蛋") == []


def test_settings_that_cannot_work_are_refused(made: Callable[..., MilvusEngine], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ending in \.db"):
        MilvusEngine(str(tmp_path / "platform"))
    with pytest.raises(ConfigError, match="letters, digits"):
        made("a-b")
    with pytest.raises(ConfigError, match="needs vectors"):
        made("a", by="dense")
    with pytest.raises(ConfigError, match="fewer than 16384"):
        made("a").search("骗子", 20_000)
    with pytest.raises(DataError, match="longer than 512 bytes"):
        made("a").index([Item("x" * 513, "骗子")])
