import json
import unicodedata
from importlib.resources import files
from pathlib import Path

import pytest

from toxitrace.text import fold, traditional_to_simplified

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
# GB 2312 holds them although simplified text hardly uses them, and traditional text cannot do without.
IN_GB2312_YET_TRADITIONAL = set("後夥菸於徵摺")


def in_gb2312(char: str) -> bool:
    try:
        char.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def test_the_table_has_the_size_of_a_full_one() -> None:
    assert len(traditional_to_simplified()) >= 2200


def test_no_character_stands_twice_in_the_table() -> None:
    lines = files("toxitrace.text").joinpath("traditional.txt").read_text(encoding="utf-8").splitlines()
    groups = [group for line in lines if not line.startswith("#") for group in line.split()]
    forms = [char for group in groups for char in group[1:]]
    assert len(set(forms)) == len(forms)
    assert all(len(group) >= 2 for group in groups)


def test_no_result_is_converted_again() -> None:
    table = traditional_to_simplified()
    assert not set(table.values()) & table.keys()


def test_both_sides_are_stable_under_nfkc() -> None:
    for pair in traditional_to_simplified().items():
        assert all(unicodedata.normalize("NFKC", char) == char for char in pair)


def test_no_character_of_the_simplified_standard_is_converted() -> None:
    assert {char for char in traditional_to_simplified() if in_gb2312(char)} == IN_GB2312_YET_TRADITIONAL


@pytest.mark.parametrize(
    "text", ["乾坤", "著名", "瞭望", "慰藉", "覆盖", "神祇", "沉默", "猛烈", "机械", "需要", "勾结", "嘿嘿"]
)
def test_simplified_words_stay_as_they_are(text: str) -> None:
    assert fold(text).text == text


@pytest.mark.parametrize(
    ("traditional", "simplified"),
    [
        ("臺灣的颱風與檯燈", "台湾的台风与台灯"),
        ("皇后後來頭髮鬆了", "皇后后来头发松了"),
        ("乾淨的裏面裡有麵條", "乾净的里面里有面条"),
        ("憂鬱的烏龜籲請讓體驗變聰明", "忧郁的乌龟吁请让体验变聪明"),
        ("儘管雲層遮蔽。飛機仍準時降落", "尽管云层遮蔽。飞机仍准时降落"),
        ("雞鴨魚鳥龍鳳馬車門", "鸡鸭鱼鸟龙凤马车门"),
        ("瞭解說話的藝術", "瞭解说话的艺术"),
    ],
)
def test_sentences_are_simplified(traditional: str, simplified: str) -> None:
    assert fold(traditional).text == simplified


def test_texts_in_traditional_script_fold_to_the_simplified_originals() -> None:
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is absent: the check against CNTP's traditional texts needs it")

    def read(name: str) -> dict[str, str]:
        lines = (SHARED / "cntp" / name).read_text(encoding="utf-8").splitlines()
        return {row["id"]: row["text"] for row in map(json.loads, lines)}

    originals, perturbed = read("toxic.jsonl"), read("perturbed_trad.jsonl")
    pairs = [(fold(text).text, fold(originals[key]).text) for key, text in perturbed.items() if key in originals]
    same_length = [(a, b) for a, b in pairs if len(a) == len(b)]
    assert len(same_length) > 500
    n_chars = sum(len(a) for a, _ in same_length)
    n_wrong = sum(x != y for a, b in same_length for x, y in zip(a, b, strict=True))
    assert n_wrong / n_chars < 0.005
