"""Hypothesis strategies for the strings that break offset arithmetic."""

from hypothesis import strategies as st

_PIECES = [
    "今天天气很好",
    "後來頭髮亂了",
    "𠮷野家",
    "😂😂😂",
    "👨\u200d👩\u200d👧\u200d👦",
    "❤\ufe0f",
    "👍🏽",
    "🇨🇳",
    "1\ufe0f\u20e3",
    "\ud800",
    "\udc00",
    "\ude00\ud83d",
    "\x00",
    "\x07",
    "\ufffd",
    "\t\r\n \u2028\u3000",
    "שלום",
    "مرحبا\u202e\u200f",
    "ﷺ㍿℡ﬁ½",
    "e\u0301",
    "\u0301\u0316",
    "İSTANBUL ΑΣ ẞ J\u030c",
    "Ａｂｃ１２３！",
    "ｶﾞﾊﾟ",
    "\u200b\u200c\ufeff\u00ad",
    "\u115f\u1161\u11a8",
    "각",
    "가\u11a8",
    "\u3131\u314f\u3133",
    "\u0b47\u0b56",
    "[CLS]",
    "[MASK] [UNK] [PAD][SEP]",
    "##ing",
    "f**k 笨*蛋",
    "word",
    "，。！？",
]

pieces = st.sampled_from(_PIECES)
any_text = st.text(st.characters(), max_size=30)  # surrogates included
awkward_text = st.one_of(any_text, st.lists(st.one_of(pieces, st.text(max_size=3)), max_size=10).map("".join))
