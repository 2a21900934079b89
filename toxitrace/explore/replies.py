"""What a model answered -> queries. Whatever it wrote, the result is a list and a count of what was no query. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from toxitrace.explore.config import ReplyLimits
from toxitrace.explore.prompts import clean

# Only at the beginning of a line and only with the verb: 抱歉 or 对不起 alone may well be somebody's query.
_REFUSAL = re.compile(
    r"^(?:非常|很|十分)?(?:抱歉|对不起|不好意思)[，,。!！\s]*.{0,24}?(?:无法|不能|不会|不便|不可以|不适合|拒绝)"
    r"|^(?:我|作为.{0,12}?(?:AI|人工智能|语言模型|助手)).{0,16}?(?:无法|不能|不会|不便|拒绝)"
    r".{0,8}?(?:提供|生成|协助|帮助|满足|完成|回答|处理|写)"
    r"|^(?:I['’]?m sorry|I am sorry|Sorry,|I can(?:no|['’])t|I(?:['’]m| am) (?:unable|not able)|As an AI)",
    re.IGNORECASE,
)
# "1." "2、" "(3)" "- " "• " "查询2：" "Query 1:"
_LEAD = re.compile(
    r"^(?:[-*•·>]+\s*|[(（]?\d{1,2}[)）.、:：](?!\d)\s*"
    r"|(?:搜索词|搜索|查询词|查询|关键词|query|keyword)s?\s*\d{0,2}\s*[:：]\s*)+",
    re.IGNORECASE,
)
_QUOTES = "\"'“”‘’「」『』`《》"
_FENCE = re.compile(r"^\s*```\w*\s*$")
# Words for "there is none", alone in a line or an entry.
_NONE = re.compile(
    r"(?:null|none|nil|n/a|undefined|empty|空"
    r"|(?:暂?无|没有)(?:合适的|合适|相关的|相关|可用的|可用|任何)?(?:搜索词|搜索|查询词|查询|关键词|内容|结果)?)",
    re.IGNORECASE,
)
# An opening bracket before a quote or another bracket. Emoticons of posts, [狗头], have neither.
_JSON_BEGINS = re.compile(r"[\[{]\s*(?:[\"'\[{]|$)")
_JSON_PIECE = re.compile(r"^\{|[\[{]\s*[\"'\[{]|[\"']\s*[\]}]|^[\"'][^\"']*[\"']\s*:|^[\[\]{},\s]+$")
_KEY = re.compile(r"quer|keyword|search|搜索|查询|关键词", re.IGNORECASE)
_CUT_LIST = re.compile(r"(?:\{\s*(\"(?:[^\"\\]|\\.)*\")\s*:\s*)?\[", re.DOTALL)
_STRING = re.compile(r"\s*(\"(?:[^\"\\]|\\.)*\")\s*(?:,|\]|$)", re.DOTALL)
# Control characters but line feed, return and tab, and what stands for a character that could not be read.
_BROKEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
_DECODER = json.JSONDecoder(strict=False)  # a control character costs its query, not the list
_THINKING = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """The queries of one reply.

    Attributes:
        queries: distinct, cleaned, best first; () where there was none.
        refused: the model declined to answer.
        n_dropped: lines or list entries that are no query: too long, preamble, no letter or digit in it, a word for
            none, a piece of JSON, a control or replacement character in it.
    """

    queries: tuple[str, ...]
    refused: bool = False
    n_dropped: int = 0


@dataclass(frozen=True, slots=True)
class ReplyCounts:
    """How many replies ended how, for the report of a run."""

    n_replies: int
    n_queries: int
    n_refused: int
    n_without_query: int
    n_dropped: int


def parse_reply(reply: str, limits: ReplyLimits | None = None) -> ParsedReply:
    """Read queries from a JSON list, ``{"queries": [...]}``, or lines with or without numbers, quotes and preamble.

    Of JSON that was cut off the complete strings count; JSON that says something else holds no query.

    Args:
        reply: as generated.
        limits: most queries, longest query.

    >>> parse_reply("以下是搜索词：\\n1. 笨蛋\\n2. “大骗子”").queries
    ('笨蛋', '大骗子')
    >>> parse_reply("抱歉，我无法提供这样的内容。")
    ParsedReply(queries=(), refused=True, n_dropped=0)
    >>> parse_reply('{"queries": ["大骗子", "你真')
    ParsedReply(queries=('大骗子',), refused=False, n_dropped=1)
    """
    limits = limits or ReplyLimits()
    # what follows a thought is the answer; a thought that never ends has none
    text = _THINKING.sub("", reply).strip()
    entries = _json_entries(text)
    if entries is None:
        entries = [line.strip() for line in text.splitlines() if line.strip() and not _FENCE.match(line)]
        if entries and _REFUSAL.match(entries[0]):
            return ParsedReply((), refused=True)
    queries: dict[str, None] = {}
    n_dropped = 0
    for entry in entries:
        query = _query(entry, limits.max_query_chars)
        if query is None:
            n_dropped += 1
        elif len(queries) < limits.max_queries:
            queries.setdefault(query)
    return ParsedReply(tuple(queries), n_dropped=n_dropped)


def count_replies(replies: Iterable[ParsedReply]) -> ReplyCounts:
    """Add the replies of a run up.

    >>> count_replies([ParsedReply(("笨蛋",)), ParsedReply((), refused=True)]).n_refused
    1
    """
    rows = list(replies)
    return ReplyCounts(
        n_replies=len(rows),
        n_queries=sum(len(row.queries) for row in rows),
        n_refused=sum(row.refused for row in rows),
        n_without_query=sum(not row.queries for row in rows),
        n_dropped=sum(row.n_dropped for row in rows),
    )


def distinct_queries(replies: Iterable[ParsedReply]) -> list[str]:
    """The queries of several replies, each once, in their order.

    >>> distinct_queries([ParsedReply(("笨蛋", "骗子")), ParsedReply(("骗子",))])
    ['笨蛋', '骗子']
    """
    return list(dict.fromkeys(query for reply in replies for query in reply.queries))


def _query(entry: str, max_chars: int) -> str | None:
    """One line as a query; None if it is none."""
    if entry.rstrip().endswith((":", "：")) or _REFUSAL.match(entry):
        return None
    if _BROKEN.search(entry) or _JSON_PIECE.search(entry.strip()):
        return None
    query = clean(_LEAD.sub("", entry.strip())).strip(_QUOTES + " ,，;；。")
    if len(query) > max_chars or not any(char.isalnum() for char in query):
        return None
    return None if _NONE.fullmatch(query.strip("()（）[]【】 ")) else query


def _json_entries(text: str) -> list[str] | None:
    """The strings of a JSON list or of its object's list, whole or cut; None if there is no JSON in the reply.

    What is no query is kept as an empty entry, so that it is counted.
    """
    start = min((at for at in (text.find("["), text.find("{")) if at >= 0), default=-1)
    if start < 0:
        return None
    try:
        value, _ = _DECODER.raw_decode(text[start:])
    except (ValueError, RecursionError):
        found = _JSON_BEGINS.search(text)
        return None if found is None else _cut_entries(text[found.start() :])
    if isinstance(value, dict):
        asked = [entry for key, entry in value.items() if _KEY.search(key)]
        value = asked[0] if len(asked) == 1 else None
    if not isinstance(value, list):
        value = [value]
    return [entry if isinstance(entry, str) else "" for entry in value]


def _cut_entries(text: str) -> list[str] | None:
    """The complete strings at the beginning of a list that has no end, and an empty entry for the rest.

    None for what begins like no such list, as Python's quotes do: its lines are looked at one by one.
    """
    begun = _CUT_LIST.match(text)
    if begun is None:
        return None if text.startswith(("['", "{'")) else [""]
    if begun[1] is not None and not _KEY.search(begun[1]):
        return [""]
    entries, at = [], begun.end()
    while (found := _STRING.match(text, at)) is not None:
        try:
            entries.append(str(_DECODER.decode(found[1])))
        except ValueError:  # a backslash before something that JSON knows no escape for
            entries.append("")
        at = found.end()
        if found[0].endswith("]"):
            return entries
    return [*entries, ""]
