"""Write the mild sentences that the smoke recipe and the tests train on: tests/samples/mild*.jsonl.

Every sentence is put together from the parts below, all written for this project; nothing comes from a data set.
The insults are those of a school yard, so that nobody minds reading the tests.

    python scripts/make_mild_texts.py
"""

from __future__ import annotations

import json
import random
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "samples"
N_TEXTS = 900

INSULTS = [
    "笨蛋",
    "傻瓜",
    "废物",
    "蠢货",
    "讨厌鬼",
    "胆小鬼",
    "没出息的东西",
    "大骗子",
    "猪脑子",
    "白痴",
    "丑八怪",
    "懒骨头",
    "无耻小人",
    "饭桶",
    "神经病",
]
ATTACKS = [
    "滚远点",
    "闭上你的臭嘴",
    "真不要脸",
    "蠢得像头猪",
    "笨死了",
    "又蠢又坏",
    "活该被骂",
    "脑子进水了",
    "丢人现眼",
    "一无是处",
]
PEOPLE = ["你", "他", "她", "楼上", "隔壁老王", "那个司机", "这个老板", "我同桌", "那家店的人", "他们"]
NICE = ["好人", "老师", "医生", "热心的邻居", "聪明的孩子", "好朋友", "细心的姑娘", "可靠的同事", "有趣的作家", "厨师"]
PRAISE = [
    "很照顾大家",
    "做饭很好吃",
    "唱歌真好听",
    "办事很认真",
    "笑起来很温暖",
    "跑得真快",
    "说得有道理",
    "画得很漂亮",
    "一直很努力",
    "从来不迟到",
]
OPENERS = ["", "", "说实话，", "唉，", "今天才知道，", "我觉得", "大家看看，", "哈哈，", "其实", "昨天在公司，"]
CLOSERS = ["", "", "。", "！", "，气死我了。", "，算了。", "，大家说是不是？", "，就这样吧。", "，你们怎么看？"]
PLAIN = [
    "今天天气不错",
    "晚上一起吃面吧",
    "这本书写得很清楚",
    "明天早上八点开会",
    "地铁又晚点了",
    "新出的电影挺好看",
    "周末想去爬山",
    "快递已经到了",
    "这道题有点难",
    "冬天要多喝热水",
    "手机没电了",
    "孩子们在公园里玩",
    "他昨天买了一只猫",
    "北京下雪了",
    "会议改到下午三点",
]
QUOTES = ["请不要叫别人{x}", "骂人“{x}”是不对的", "老师说不能说别人是{x}"]


def toxic(draw: random.Random) -> tuple[str, list[list[int]]]:
    """A sentence that insults somebody, and where."""
    if draw.random() < 0.6:
        word = draw.choice(INSULTS)
        pattern = draw.choice(["{p}真是个{x}", "{p}这个{x}", "{p}就是{x}", "没见过{p}这样的{x}", "{p}是不是{x}啊"])
    else:
        word = draw.choice(ATTACKS)
        pattern = draw.choice(["{p}{x}", "{p}简直{x}", "{p}怎么不{x}", "{x}，说的就是{p}"])
    core = pattern.replace("{p}", draw.choice(PEOPLE))
    head = draw.choice(OPENERS) + (draw.choice(PLAIN) + "，" if draw.random() < 0.4 else "")
    start = len(head) + core.index("{x}")
    text = head + core.replace("{x}", word) + draw.choice(CLOSERS)
    return text, [[start, start + len(word)]]


def harmless(draw: random.Random) -> str:
    """A sentence about people or things that insults nobody; a few quote an insult to reject it."""
    kind = draw.random()
    if kind < 0.1:
        core = draw.choice(QUOTES).replace("{x}", draw.choice(INSULTS))
    elif kind < 0.35:
        core = draw.choice(["{p}真是个{x}", "{p}是{x}", "没见过{p}这样的{x}"])
        core = core.replace("{p}", draw.choice(PEOPLE)).replace("{x}", draw.choice(NICE))
    elif kind < 0.65:
        core = draw.choice(PEOPLE) + draw.choice(PRAISE)
    else:
        core = draw.choice(PLAIN) + ("，" + draw.choice(PLAIN) if draw.random() < 0.5 else "")
    return draw.choice(OPENERS) + core + draw.choice(CLOSERS)


def main() -> None:
    draw = random.Random(2026)
    texts: dict[str, list[list[int]]] = {}
    while len(texts) < N_TEXTS:
        if len(texts) % 2:
            text, spans = toxic(draw)
        else:
            text, spans = harmless(draw), []
        texts.setdefault(text, spans)
    rows = [
        {"id": f"mild-{n}", "text": text, "label": int(bool(spans))} for n, (text, spans) in enumerate(texts.items())
    ]
    marks = [{"id": row["id"], "spans": spans} for row, spans in zip(rows, texts.values(), strict=True) if row["label"]]
    rationales = [
        {
            "id": row["id"],
            "toxic": "这句话用侮辱性的词骂人，是在攻击对方。",
            "non_toxic": "这句话只是平常的看法，没有攻击任何人。",
        }
        for row in rows[::9]
    ]
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = {
        "mild.jsonl": rows[:-100],
        "mild-dev.jsonl": rows[-100:],
        "mild-spans.jsonl": marks,
        "mild-rationales.jsonl": rationales,
    }
    for name, content in files.items():
        lines = (json.dumps(row, ensure_ascii=False) for row in content)
        (FOLDER / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{FOLDER.name}/{name}: {len(content)} rows")


if __name__ == "__main__":
    main()
