"""Disguised copies of training texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.config import DataConfig, Paths
from toxitrace.data.disguises import KINDS, disguise, disguised_examples
from toxitrace.data.load import load_labelled
from toxitrace.data.records import Example
from toxitrace.errors import ConfigError

pytest.importorskip("pypinyin")
TEXT = "你真是个笨蛋，快走"
WORD = [(4, 6)]


def changed(kind: str, seed: int = 0) -> tuple[str, list[tuple[int, int]]]:
    found = disguise(TEXT, WORD, kind, np.random.default_rng(seed))
    assert found is not None
    return found


@pytest.mark.parametrize(("kind", "word"), [("pinyin", "bendan"), ("initials", "bd"), ("swapped", "蛋笨")])
def test_a_word_is_disguised_and_found_again(kind: str, word: str) -> None:
    text, [(start, end)] = changed(kind)
    assert text == f"你真是个{word}，快走"
    assert text[start:end] == word


def test_homophones_sound_alike_and_look_different() -> None:
    from pypinyin import lazy_pinyin

    seen = set()
    for seed in range(20):
        text, [(start, end)] = changed("homophones", seed)
        word = text[start:end]
        assert (start, end) == WORD[0]
        assert word[0] != "笨"
        assert word[1] != "蛋"
        assert lazy_pinyin(word[0]) == ["ben"]
        assert lazy_pinyin(word[1]) == ["dan"]
        seen.add(word)
    assert len(seen) > 3


def test_symbols_stand_between_the_characters() -> None:
    text, [(start, end)] = changed("symbols")
    assert text[start] + text[end - 1] == "笨蛋"
    assert end - start == 3
    assert not text[start + 1].isalnum()


def test_what_cannot_be_disguised_gives_nothing() -> None:
    rng = np.random.default_rng(0)
    assert disguise("abc", [(0, 3)], "pinyin", rng) is None
    assert disguise(TEXT, [(4, 5)], "pinyin", rng) is None  # one character
    assert disguise(TEXT, [], "symbols", rng) is None
    assert disguise("笨" * 9, [(0, 9)], "pinyin", rng) is None  # nobody spells a sentence


def test_toxic_texts_hide_their_evidence_and_clean_ones_any_word() -> None:
    toxic = Example("t", TEXT, 1, "race", ((4, 6),), "attack")
    clean = [Example(f"c{i}", TEXT, 0, spans=spans) for i, spans in enumerate([None, ()] * 20)]
    (one,) = disguised_examples([toxic], 1.0, seed=1)
    assert (one.id.split("#")[0], one.label, one.topic) == ("t", 1, "race")
    assert one.text[:4] == TEXT[:4]
    assert one.text.endswith("，快走")
    others = disguised_examples(clean, 1.0, seed=1)
    assert {o.spans for o in others} == {None, ()}
    assert all(o.label == 0 and o.text != TEXT for o in others)
    assert {o.id.split("#")[1] for o in others} == set(KINDS)


@pytest.mark.parametrize(
    "example",
    [
        Example("a", TEXT, 0, spans=((4, 6),)),
        Example("a", TEXT, 1),
        Example("a", TEXT, 1, spans=()),
        Example("a", TEXT, None, spans=((4, 6),)),
        Example("a", "……", 0),
    ],
    ids=["doubtful", "unread", "without evidence", "without label", "nothing to disguise"],
)
def test_other_texts_give_nothing(example: Example) -> None:
    assert disguised_examples([example], 1.0, seed=1) == []


def test_the_share_is_kept_and_the_draw_depends_on_seed_and_id_alone() -> None:
    many = [Example(str(i), TEXT, 1, spans=((4, 6),)) for i in range(400)]
    some = disguised_examples(many, 0.25, seed=1)
    assert 70 < len(some) < 130
    assert {e.id: e for e in disguised_examples(many[::-1], 0.25, seed=1)} == {e.id: e for e in some}
    assert disguised_examples(many, 0.0, seed=1) == []


@given(st.text(alphabet="你笨蛋好ab，。 \u200b😀𠀀", max_size=20), st.sampled_from(KINDS), st.data())
def test_what_stands_around_the_words_stays(text: str, kind: str, data: st.DataObject) -> None:
    if not text:
        return
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    found = disguise(text, [(start, end)], kind, np.random.default_rng(0))
    if found is not None:
        new, [(low, high)] = found
        assert (new[:low], new[high:]) == (text[:start], text[end:])


def test_loaded_when_the_config_says_so(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    row = {"id": "a", "text": TEXT, "label": 1, "spans": [[4, 6]]}
    file.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    found = load_labelled(DataConfig(train=Paths([str(file)]), disguises=1.0)).train
    assert len(found) == 2
    with pytest.raises(ConfigError, match=r"data\.disguises"):
        DataConfig(disguises=1.5)
