"""Mild made-up items, a search engine of a few lines, and a tiny language model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache

from toxitrace.explore import Judged, SeedItem, SmallLMSize
from toxitrace.search.protocol import Hit, Item

INSULTS = ("笨蛋", "骗子", "懒虫", "蠢货", "废物", "坏蛋")
FRAMES = ("你真是个{}", "他就是{}，别理他", "又来一个{}，真烦人", "这些{}都走开")
HARMLESS = ("今天天气真好", "我们去公园玩", "晚饭吃面条吧", "这本书很有意思", "明天要下雨了", "周末一起看电影")


def seeds() -> list[SeedItem]:
    """Every insult in every frame, with the insult as its span."""
    found = []
    for i, insult in enumerate(INSULTS):
        for j, frame in enumerate(FRAMES):
            start = frame.index("{")
            found.append(SeedItem(f"t{i}{j}", frame.format(insult), ((start, start + len(insult)),)))
    return found


def platform() -> tuple[list[Item], dict[str, bool]]:
    """All seeds and harmless posts, and which are toxic."""
    items = [Item(seed.id, seed.text) for seed in seeds()]
    items += [Item(f"h{i}", text) for i, text in enumerate(HARMLESS)]
    return items, {item.id: item.id.startswith("t") for item in items}


class BigramEngine:
    """Counts shared character bigrams; obeys the laws of `SearchEngine`."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self.n_searches = 0

    def __len__(self) -> int:
        return len(self._items)

    def index(self, items: Iterable[Item]) -> None:
        self._items = list(items)

    def search(self, query: str, k: int = 100, exclude: Collection[str] = ()) -> list[Hit]:
        self.n_searches += 1
        wanted = _bigrams(query)
        hits = [
            Hit(item.id, float(len(wanted & _bigrams(item.text)))) for item in self._items if item.id not in exclude
        ]
        return sorted((hit for hit in hits if hit.score > 0), key=lambda hit: (-hit.score, hit.id))[:k]

    def search_many(
        self, queries: Sequence[str], k: int = 100, exclude: Sequence[Collection[str]] | None = None
    ) -> list[list[Hit]]:
        hidden = exclude or [()] * len(queries)
        return [self.search(query, k, ids) for query, ids in zip(queries, hidden, strict=True)]


def judged(query: str, flags: str) -> Judged:
    """``judged("q", "a+ b-")``: results a (toxic) and b (harmless)."""
    parts = flags.split()
    return Judged(query, tuple(part[:-1] for part in parts), tuple(part.endswith("+") for part in parts))


def tiny_size(**changes: int) -> SmallLMSize:
    size = {"layers": 2, "hidden": 32, "heads": 2, "feed_forward": 64, "max_positions": 256, "vocab_size": 600}
    return SmallLMSize(**{**size, "min_count": 1, **changes})


@cache
def _bigrams(text: str) -> frozenset[str]:
    return frozenset(text[i : i + 2] for i in range(len(text) - 1))
