"""BM25 in memory against the formula written out, and as a folder."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from brute_bm25 import assert_best, bm25
from hypothesis import given, settings
from hypothesis import strategies as st
from search_corpus import ITEMS

from toxitrace.errors import DataError
from toxitrace.search import BM25Engine, Item
from toxitrace.search.postings import Postings, best_documents

logging.getLogger("bm25s").setLevel(logging.WARNING)
WORDS = st.lists(st.sampled_from(["骗子", "笨蛋", "天气", "dan", "你", "！"]), max_size=5).map(" ".join)


@settings(max_examples=60)
@given(st.lists(WORDS, max_size=12), WORDS, st.integers(1, 8), st.sets(st.integers(0, 12)))
def test_scores_are_those_of_the_formula(texts: list[str], query: str, k: int, excluded: set[int]) -> None:
    items = [Item(str(number), text) for number, text in enumerate(texts)]
    engine = BM25Engine()
    engine.index(reversed(items))
    exclude = [str(number) for number in excluded]
    assert_best(engine.search(query, k, exclude), bm25(items, query), k, exclude)


@given(
    st.lists(st.lists(st.sampled_from([0.25, 0.5, 1.0]), min_size=6, max_size=6), min_size=1, max_size=4),
    st.integers(1, 7),
)
def test_the_best_documents_are_those_of_a_full_sort(columns: list[list[float]], k: int) -> None:
    scores = np.array(columns, np.float32)  # (V, N); multiples of a quarter add without rounding
    starts = np.arange(0, scores.size + 1, 6)
    lists = Postings(starts, np.tile(np.arange(6, dtype=np.int32), len(columns)), scores.ravel(), 6)
    scratch = np.zeros(6, np.float32)
    documents, sums = best_documents(lists, dict.fromkeys(range(len(columns)), 1), k, scratch)
    total = scores.sum(axis=0)
    assert documents.tolist() == sorted(range(6), key=lambda row: (-total[row], row))[:k]
    assert sums.tolist() == total[documents].tolist()
    assert not scratch.any()


def test_an_empty_corpus_is_searched_in_vain(tmp_path: Path) -> None:
    for items in ([], [Item("blank", "！")]):
        engine = BM25Engine()
        engine.index(items)
        engine.save(tmp_path / "index")
        assert engine.search("骗子") == BM25Engine.load(tmp_path / "index").search("骗子") == []


def test_indexing_again_replaces_what_was_there() -> None:
    engine = BM25Engine()
    engine.index(ITEMS)
    engine.index([Item("new", "骗子")])
    assert [hit.id for hit in engine.search("骗子")] == ["new"]


def test_a_loaded_index_finds_the_same(tmp_path: Path) -> None:
    engine = BM25Engine(k1=1.2, b=0.5)
    engine.index(ITEMS)
    engine.save(tmp_path / "index")
    loaded = BM25Engine.load(tmp_path / "index")
    assert loaded.search("你是骗子 笨蛋") == engine.search("你是骗子 笨蛋")
    assert len(loaded) == len(ITEMS)


def test_an_id_of_half_a_character_survives_the_disk(tmp_path: Path) -> None:
    engine = BM25Engine()
    engine.index([Item("\ud800", "他是骗子"), Item("b", "天气真好")])
    engine.save(tmp_path / "index")
    assert [hit.id for hit in BM25Engine.load(tmp_path / "index").search("骗子")] == ["\ud800"]


def test_the_same_items_give_the_same_files(tmp_path: Path) -> None:
    manifests = []
    for name, items in (("one", ITEMS), ("two", ITEMS[::-1])):
        engine = BM25Engine()
        engine.index(items)
        engine.save(tmp_path / name)
        manifests.append(json.loads((tmp_path / name / "index.json").read_text())["sha256"])
    assert manifests[0] == manifests[1]


def test_saving_again_leaves_one_index(tmp_path: Path) -> None:
    engine = BM25Engine()
    for items in (ITEMS, ITEMS[:3]):
        engine.index(items)
        engine.save(tmp_path / "index")
    assert len(list((tmp_path / "index").iterdir())) == 2
    assert len(BM25Engine.load(tmp_path / "index")) == 3


def test_a_save_that_was_killed_leaves_the_old_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = BM25Engine()
    engine.index(ITEMS)
    engine.save(tmp_path / "index")

    def killed(source: object, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("toxitrace.search.bm25_folder.os.replace", killed)
    engine.index(ITEMS[:3])
    with pytest.raises(KeyboardInterrupt):
        engine.save(tmp_path / "index")
    assert len(BM25Engine.load(tmp_path / "index")) == len(ITEMS)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    engine = BM25Engine()
    engine.index(ITEMS)
    engine.save(tmp_path)
    (ids,) = tmp_path.glob("*/ids.json")
    ids.write_text(ids.read_text().replace("item-0", "item-x"))
    with pytest.raises(DataError, match=r"ids\.json is not the file"):
        BM25Engine.load(tmp_path)


def test_an_index_of_another_splitter_is_refused(tmp_path: Path) -> None:
    engine = BM25Engine()
    engine.index(ITEMS)
    engine.save(tmp_path)
    manifest = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(manifest | {"splitter": "other"}))
    with pytest.raises(DataError, match=r"'other'.*index the items again"):
        BM25Engine.load(tmp_path)


def test_a_folder_of_something_else_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("hello")
    with pytest.raises(DataError, match="something else"):
        BM25Engine().save(tmp_path)
    with pytest.raises(DataError, match="no index"):
        BM25Engine.load(tmp_path)
