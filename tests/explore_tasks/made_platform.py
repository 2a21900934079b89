"""A platform of sixty mild posts, the flagged ones among them, and what an annotator would have searched for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

INSULTS = ("笨蛋", "骗子", "懒虫", "蠢货", "废物", "坏蛋")
FRAMES = ("你真是个{}", "他就是{}，别理他", "又来一个{}，真烦人", "这些{}都走开", "谁家的{}这么吵", "{}还敢说话")
HARMLESS = ("今天天气真好", "我们去公园玩", "晚饭吃面条吧", "这本书很有意思", "明天要下雨了", "周末一起看电影")
MOODS = ("呀", "吗", "，你说呢", "，大家觉得呢")


def flagged_rows() -> list[dict[str, Any]]:
    """Thirty-six toxic posts with their insult as span."""
    rows = []
    for i, insult in enumerate(INSULTS):
        for j, frame in enumerate(FRAMES):
            start = frame.index("{")
            spans = [[start, start + len(insult)]]
            rows.append({"id": f"t{i}{j}", "text": frame.format(insult), "label": 1, "spans": spans})
    return rows


def platform_rows() -> list[dict[str, Any]]:
    """The flagged posts and twenty-four harmless ones."""
    rows = [{"id": row["id"], "text": row["text"], "toxic": 1} for row in flagged_rows()]
    for i, text in enumerate(HARMLESS):
        rows += [{"id": f"h{i}{j}", "text": text + mood, "toxic": 0} for j, mood in enumerate(MOODS)]
    return rows


def query_rows() -> list[dict[str, Any]]:
    """The insult, which finds others, and a harmless word, which does not."""
    return [{"id": row["id"], "queries": [row["text"][slice(*row["spans"][0])], "公园"]} for row in flagged_rows()]


def write(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
