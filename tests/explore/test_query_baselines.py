from __future__ import annotations

from toxitrace.explore import Generator, SeedItem, SpanQueries, TfidfKeywords, WholeText

ITEM = SeedItem("a", "今天的足球比赛真是一场闹剧", ((11, 13),))


def test_the_whole_text_is_one_query() -> None:
    assert WholeText().queries([ITEM, SeedItem("b", "  ")]) == [[ITEM.text], []]
    assert WholeText(max_chars=4).queries([ITEM]) == [["今天的足"]]


def test_every_span_is_a_query_once() -> None:
    twice = SeedItem("a", "笨蛋和笨蛋", ((0, 2), (3, 5)))
    assert SpanQueries().queries([ITEM, twice, SeedItem("c", "好")]) == [["闹剧"], ["笨蛋"], []]


def test_keywords_come_apart_or_joined() -> None:
    apart = TfidfKeywords(2).queries([ITEM])[0]
    assert len(apart) == 2
    assert all(word in ITEM.text for word in apart)
    assert TfidfKeywords(2, joined=True).queries([ITEM]) == [[" ".join(apart)]]
    assert TfidfKeywords(2, joined=True).queries([SeedItem("b", "。")]) == [[]]


def test_keywords_are_those_of_jieba() -> None:
    import jieba.analyse

    extractor = jieba.analyse.TFIDF()
    assert set(TfidfKeywords(3).queries([ITEM])[0]) == set(extractor.extract_tags(ITEM.text, topK=3))


def test_baselines_are_generators() -> None:
    makers: list[Generator] = [WholeText(), SpanQueries(), TfidfKeywords()]
    assert all(len(maker.queries([ITEM, ITEM])) == 2 for maker in makers)
