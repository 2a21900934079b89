"""Clues of a detector -> weak spans (CuSA), two rationales per text (ARCL), and how two annotations agree."""

from toxitrace.annotate.agreement import Agreement, Difference, compare
from toxitrace.annotate.asking import LLMOptions
from toxitrace.annotate.clues import Clue, find_clues
from toxitrace.annotate.offline import OfflineParams, mine_lexicon, refine
from toxitrace.annotate.rows import RationaleRow, SpanRow
from toxitrace.annotate.running import RunReport
from toxitrace.annotate.runs import annotate_rationales, annotate_spans
from toxitrace.annotate.verify import InvalidReplyError, verify_argument, verify_spans

__all__ = [
    "Agreement",
    "Clue",
    "Difference",
    "InvalidReplyError",
    "LLMOptions",
    "OfflineParams",
    "RationaleRow",
    "RunReport",
    "SpanRow",
    "annotate_rationales",
    "annotate_spans",
    "compare",
    "find_clues",
    "mine_lexicon",
    "refine",
    "verify_argument",
    "verify_spans",
]
