import math

import pytest

from toxitrace.annotate.clues import Clue
from toxitrace.annotate.offline import OfflineParams, mine_lexicon, refine, split_words
from toxitrace.data import Example
from toxitrace.errors import ConfigError, DataError

pytest.importorskip("jieba", reason="the train extra is not installed")

TOXIC = [Example(f"t{i}", "你真是个笨蛋" + "吗吧呢"[i % 3], 1) for i in range(30)]
CLEAN = [Example(f"c{i}", "你真是个好人" + "吗吧呢"[i % 3], 0) for i in range(30)]


def test_words_of_toxic_texts_get_positive_scores_and_shared_ones_none() -> None:
    lexicon = mine_lexicon(TOXIC + CLEAN)
    assert lexicon["笨蛋"] > 2
    assert lexicon["好人"] == pytest.approx(-lexicon["笨蛋"])
    assert lexicon["吗"] == pytest.approx(0.0)


def test_the_score_is_the_published_formula() -> None:
    # 3 toxic texts "笨", 1 clean text "笨", 2 clean texts "好": by hand, words counted once per text
    rows = [Example(str(i), "笨笨", 1) for i in range(3)] + [Example("c", "笨", 0)]
    rows += [Example(str(i), "好", 0) for i in (7, 8)]
    found = mine_lexicon(rows, OfflineParams(prior_words=6.0, min_texts=1), engine="chars")
    toxic, clean = 3 + 6 * 4 / 6, 1 + 6 * 4 / 6
    odds = math.log(toxic / (3 + 6 - toxic)) - math.log(clean / (3 + 6 - clean))
    assert found["笨"] == pytest.approx(odds / math.sqrt(1 / toxic + 1 / clean))


def test_rare_words_and_unlabelled_texts_are_left_out() -> None:
    lexicon = mine_lexicon(
        [*TOXIC, *CLEAN, Example("x", "独一无二", 1), *[Example(f"u{i}", "无标签", None) for i in "abc"]]
    )
    assert not {"独一无二", "标签"} & lexicon.keys()


def test_labels_of_one_kind_are_no_ground_for_a_lexicon() -> None:
    with pytest.raises(DataError, match="labelled 0 and 1"):
        mine_lexicon(TOXIC)


LEXICON = {"笨蛋": 5.0, "个": -1.0, "走开": -2.0, "臭嘴": 4.0, "闭上": 1.0, "你": -3.0, "的": -3.0}
TEXT = "你真是个笨蛋，闭上你的臭嘴"


def test_clues_snap_to_words() -> None:
    assert refine(TEXT, [Clue(3, 5, 0.9)], LEXICON) == ((4, 6),)  # half of 笨蛋, and 个 that speaks against


def test_a_clue_of_words_that_are_not_toxic_is_dropped() -> None:
    assert refine("你走开", [Clue(0, 3, 0.9)], LEXICON) == ()


def test_words_between_two_toxic_ones_of_a_clue_stay() -> None:
    assert refine(TEXT, [Clue(7, 13, 0.9)], LEXICON) == ((7, 13),)


def test_only_the_best_clues_are_used() -> None:
    clues = [Clue(4, 6, 0.5), Clue(11, 13, 0.9)]
    assert refine(TEXT, clues, LEXICON, OfflineParams(max_clues=1)) == ((11, 13),)


def test_strong_neighbours_join_and_separators_never_do() -> None:
    params = OfflineParams(keep=1.0, extend=1.0)
    assert refine("笨蛋笨蛋，臭嘴", [Clue(0, 2, 0.9)], LEXICON | {"，": 9.0}, params) == ((0, 4),)


def test_offsets_are_those_of_the_raw_text() -> None:
    text = "\u200b你真是个笨\u200b蛋"
    (span,) = refine(text, [Clue(5, 8, 0.9)], LEXICON)
    assert text[slice(*span)] == "笨\u200b蛋"
    assert [word.key for word in split_words("ＯＫ")] == ["ok"]


def test_the_same_texts_give_the_same_lexicon_in_any_order() -> None:
    assert mine_lexicon(TOXIC + CLEAN) == mine_lexicon(CLEAN[::-1] + TOXIC[::-1])


@pytest.mark.parametrize("fields", [{"max_clues": 0}, {"prior_words": 0.0}, {"min_texts": 0}])
def test_impossible_parameters_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="offline refiner"):
        OfflineParams(**fields)  # type: ignore[arg-type]
