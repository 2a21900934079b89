import sys
from pathlib import Path
from typing import Any

import pytest
from awkward_text import awkward_text
from hypothesis import given

from toxitrace.errors import ConfigError, MissingExtraError
from toxitrace.text import segment as segment_function
from toxitrace.text.segment import SegmentEngine, jieba_tokenizer

ENGINES: list[SegmentEngine] = ["jieba", "chars"]


@pytest.fixture(autouse=True)
def _needs_jieba() -> None:
    pytest.importorskip("jieba")


@pytest.mark.parametrize("engine", ENGINES)
@given(text=awkward_text)
def test_pieces_cover_the_text_without_gaps_or_overlap(engine: SegmentEngine, text: str) -> None:
    pieces = segment_function(text, engine)
    assert [i for start, end in pieces for i in range(start, end)] == list(range(len(text)))
    assert all(start < end for start, end in pieces)


def test_words_are_words() -> None:
    text = "今天的天气真好"
    assert [text[start:end] for start, end in segment_function(text)][:3] == ["今天", "的", "天气"]


def test_jieba_logs_nothing_and_leaves_no_cache_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    jieba_tokenizer.cache_clear()
    segment_function("今天")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_missing_jieba_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    jieba_tokenizer.cache_clear()
    with pytest.raises(MissingExtraError, match=r"toxitrace\[train\]"):
        segment_function("今天")


def test_an_unknown_engine_is_refused() -> None:
    engine: Any = "pkuseg"
    with pytest.raises(ConfigError, match="'pkuseg'; expected one of jieba, chars"):
        segment_function("今天", engine)
