"""The n-gram baseline: learns, takes soft labels, and never judges a text that it has learnt."""

from __future__ import annotations

import pytest

from toxitrace.errors import DataError
from toxitrace.training.ngram_baseline import NgramBaseline, cross_fitted

BAD = [f"你真是个笨蛋{i}号" for i in range(12)]
GOOD = [f"今天天气不错{i}号" for i in range(12)]


def test_it_tells_the_kinds_apart_and_reads_disguises() -> None:
    model = NgramBaseline().fit(BAD + GOOD, [1.0] * 12 + [0.0] * 12)
    bad, good = model.predict(["是个笨\u200b蛋", "天氣不錯"])
    assert bad > 0.6
    assert good < 0.4


def test_a_soft_label_pulls_less_than_a_hard_one() -> None:
    hard = NgramBaseline().fit(BAD + GOOD, [1.0] * 12 + [0.0] * 12).predict(BAD[:1])
    soft = NgramBaseline().fit(BAD + GOOD, [0.6] * 12 + [0.0] * 12).predict(BAD[:1])
    assert hard > soft > 0.3


def test_a_text_and_its_copy_are_judged_without_either() -> None:
    texts = [*BAD, *GOOD, "无人知晓", "无人知晓"]
    found = cross_fitted(texts, [1.0] * 12 + [0.0] * 12 + [1.0, 1.0], n_folds=3)
    assert found[-1] == found[-2]
    assert abs(found[-1] - 0.5) < 0.25  # nothing was known of it
    assert min(found[:12]) > max(found[12:24])


def test_one_kind_alone_teaches_nothing() -> None:
    with pytest.raises(DataError, match="expected both kinds"):
        NgramBaseline().fit(BAD, [1.0] * 12)
