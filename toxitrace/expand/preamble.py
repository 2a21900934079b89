"""What a model says before it says it: "Here is a passage ...:", 以下是一段短文：, and the quotes around the whole.

Stripped once, where a reply becomes an expansion: training data and evaluation read the same text. (The published code
strips it in evaluation alone, methods.md section 3, so its model learns to write preambles.)
"""

from __future__ import annotations

import re

_ASSENT = (
    r"(?:(?:sure|of course|certainly|absolutely|okay|ok)(?: thing)?[,.!: ]+"
    r"|(?:好的|好|当然可以|当然|没问题|可以)(?:[，,。.！!：:]\s*|\s+))"
)
# An introduction names what it introduces and ends with a colon: "这是一种说法：" in the text itself stays.
_INTRODUCTION = (
    r"(?:(?:here(?:['’]s| is| are)|below is|the following is|this is)\b[^\n:：]{0,120}"
    r"\b(?:passage|paragraph|document|answer|text|response|article|expansion|description)s?\b[^\n:：]{0,120}[:：]"
    r"|(?:以下|下面|这里|这)(?:就)?(?:是|为)[^\n:：。！？]{0,60}"
    r"(?:一段|短文|段落|文章|文字|文档|回答|答案|介绍|内容|说明|解答|描述)[^\n:：。！？]{0,60}[:：]"
    r"|(?:根据|针对)(?:您|你|上述|以上|该|这个)[^\n:：。！？]{0,60}[:：])"
)
_LABEL = (
    r"(?:passage|document|answer|expansion|response|output|短文|段落|文章|文档|文字|答案|回答|答|扩展)"
    r"\s*(?:\*\*)?\s*[:：](?:\*\*)?"
)
_OPENING = re.compile(
    rf"[\s>#*_]*(?:{_ASSENT})?(?:{_INTRODUCTION}|{_LABEL})[*_\s]*|[\s>#*_]*{_ASSENT}[*_]*\n\s*", re.IGNORECASE
)
_FENCE = re.compile(r"```\w*\n(?P<inside>.*?)\n?```", re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "「": "」", "『": "』"}


def strip_preamble(text: str) -> str:
    """The reply without preambles, labels and quotation marks around it; doing it twice changes nothing.

    >>> strip_preamble("好的，以下是一段关于猫的短文：\\n\\n猫是常见的宠物。")
    '猫是常见的宠物。'
    >>> strip_preamble("Here is a passage that answers the question: Cats purr.")
    'Cats purr.'
    >>> strip_preamble("当然，猫也会怕水。")
    '当然，猫也会怕水。'
    """
    while (shorter := _without_wrapping(_without_opening(text))) != text:
        text = shorter
    return text


def _without_opening(text: str) -> str:
    found = _OPENING.match(text)
    return text[found.end() :] if found else text


def _without_wrapping(text: str) -> str:
    text = text.strip()
    fenced = _FENCE.fullmatch(text)
    if fenced:
        return fenced["inside"].strip()
    closing = _QUOTES.get(text[:1])
    # one pair around all of it; "甲"和"乙" begins and ends with quotes that are two pairs
    if closing and len(text) > 1 and text[-1] == closing and not {text[0], closing} & set(text[1:-1]):
        return text[1:-1].strip()
    return text
