"""From a spec to an engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_corpus import ITEMS, word_vectors

from toxitrace.errors import ConfigError, DataError
from toxitrace.search import BM25Engine, open_engine


def test_a_saved_folder_is_opened(tmp_path: Path) -> None:
    engine = BM25Engine()
    engine.index(ITEMS)
    engine.save(tmp_path / "index")
    assert open_engine(f"bm25:{tmp_path / 'index'}").search("骗子") == engine.search("骗子")


@pytest.mark.parametrize("spec", ["", "bm25", "bm25:", "elastic:there", "milvus: "])
def test_anything_else_is_refused_with_the_forms(spec: str) -> None:
    with pytest.raises(ConfigError, match="bm25:FOLDER"):
        open_engine(spec)


def test_a_folder_without_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no index"):
        open_engine(f"bm25:{tmp_path}")


def test_vectors_need_milvus(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="knows no vectors"):
        open_engine(f"bm25:{tmp_path}", dense=word_vectors)


def test_a_password_in_the_address_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match="MILVUS_TOKEN") as caught:
        open_engine("milvus:http://user:secret@localhost:19530")
    assert "secret" not in str(caught.value)


def test_a_milvus_file_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"m.db does not exist.*index the items first"):
        open_engine(f"milvus:{tmp_path / 'm.db'}#posts")
    assert not list(tmp_path.iterdir())
