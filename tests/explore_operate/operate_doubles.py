"""A platform of mild made-up posts, an engine and a detector of a few lines, and a sitting over them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from threading import Event
from typing import Any

from toxitrace.config import Paths
from toxitrace.explore.operate import Ending, OperateConfig, Tools, run_sitting
from toxitrace.search.errors import SearchError
from toxitrace.search.protocol import Hit, Item
from toxitrace.types import Prediction, Span

INSULTS = ("笨蛋", "骗子", "懒虫")
POSTS = {
    "p0": "你真是个笨蛋",
    "p1": "这个笨蛋又来了",
    "p2": "他就是骗子",
    "p3": "骗子和笨蛋",
    "p4": "今天天气真好",
    "p5": "今天去公园",
    "p6": "公园里有懒虫",
    "p7": "这本书讲骗子的故事",
}


class FakeDetector:
    """Toxic is what holds an insult; the more of them, the more probable."""

    threshold = 0.5

    def __init__(self, insults: Sequence[str] = INSULTS) -> None:
        self.insults = insults
        self.n_texts = 0

    def predict(self, texts: Iterable[str], *, force_spans: bool = False) -> list[Prediction]:
        found = []
        for text in texts:
            self.n_texts += 1
            spans = tuple(
                Span.of(text, start, start + len(word), 0.9) for word in self.insults if (start := text.find(word)) >= 0
            )
            probability = (0.1, 0.8, 0.9, 0.95)[len(spans)]
            found.append(Prediction(text, bool(spans), probability, spans))
        return found


class PairEngine:
    """Counts shared pairs of characters, obeys the laws of `SearchEngine`, keeps a list of what it was asked.

    Args:
        broken: raises when it is told to, by the number of the search from 0.
    """

    def __init__(self, posts: dict[str, str], broken: Callable[[int], bool] = lambda n: False) -> None:
        self._posts, self._broken = posts, broken
        self.asked: list[str] = []

    def __len__(self) -> int:
        return len(self._posts)

    def index(self, items: Iterable[Item]) -> None:
        self._posts = {item.id: item.text for item in items}

    def search(self, query: str, k: int = 100, exclude: Collection[str] = ()) -> list[Hit]:
        self.asked.append(query)
        if self._broken(len(self.asked) - 1):
            raise SearchError("the index has vanished")
        wanted = pairs(query)
        hits = [Hit(id, float(len(wanted & pairs(text)))) for id, text in self._posts.items() if id not in exclude]
        return sorted((hit for hit in hits if hit.score > 0), key=lambda hit: (-hit.score, hit.id))[:k]

    def search_many(
        self, queries: Sequence[str], k: int = 100, exclude: Sequence[Collection[str]] | None = None
    ) -> list[list[Hit]]:
        hidden = exclude or [()] * len(queries)
        return [self.search(query, k, ids) for query, ids in zip(queries, hidden, strict=True)]


def pairs(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, content: Iterable[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return str(path)


def flagged(*ids: str) -> list[dict[str, Any]]:
    """Rows as `toxitrace predict` writes them."""
    found = FakeDetector().predict([POSTS[id] for id in ids])
    return [{"id": id, **one.to_dict()} for id, one in zip(ids, found, strict=True)]


class Sittings:
    """Sittings in one folder.

    Attributes:
        said: lines of the last one.
        progress: what the last one told.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.output = folder, folder / "out"
        self.said: list[str] = []
        self.progress: list[tuple[int, int]] = []

    def config(
        self, seeds: Iterable[dict[str, Any]], posts: dict[str, str] | None = None, **changes: Any
    ) -> OperateConfig:
        seeds_file = write(self.folder / "flagged.jsonl", seeds)
        posts_file = write(
            self.folder / "items.jsonl", ({"id": id, "text": text} for id, text in (posts or POSTS).items())
        )
        usual = {"queries_per_second": None, "wait_seconds": 0.0, "search_tries": 2, "engine": "test", "k": 10}
        return OperateConfig(
            flagged=Paths([seeds_file]), items=Paths([posts_file]), output=str(self.output), **{**usual, **changes}
        )

    def sit(
        self,
        seeds: Iterable[dict[str, Any]],
        engine: PairEngine | None = None,
        *,
        posts: dict[str, str] | None = None,
        mark: str = "1",
        detector: FakeDetector | None = None,
        detector_mark: str = "d",
        stop: Event | None = None,
        **changes: Any,
    ) -> Ending:
        self.said.clear()
        self.progress.clear()
        tools = Tools(engine or PairEngine(posts or POSTS), mark, detector or FakeDetector(), detector_mark)
        return run_sitting(
            self.config(seeds, posts, **changes),
            tools,
            stopping=lambda: nullcontext(stop or Event()),
            say=self.said.append,
            progress=lambda n_done, n_left: self.progress.append((n_done, n_left)),
        )

    def review(self, number: int = 1) -> list[dict[str, Any]]:
        return rows(self.output / f"review-{number:04}.jsonl")

    def queries(self) -> dict[str, dict[str, Any]]:
        return {row["query"]: row for row in rows(self.output / "queries.jsonl")}

    def bad_days(self) -> dict[str, int]:
        with closing(sqlite3.connect(self.output / "store.sqlite")) as db:
            return dict(db.execute("SELECT kind, sum(n) FROM bad_days GROUP BY kind"))
