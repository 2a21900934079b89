"""QExplorer: flagged items -> search queries -> more toxic items -> better queries (arXiv 2502.18480).

What needs torch, trl or peft is in modules of its own, imported by name: ``language_model``, ``small_lm``,
``pretraining``, ``sft``, ``dpo``, ``generate``, ``grounded``.
"""

from toxitrace.explore.baselines import SpanQueries, TfidfKeywords, WholeText
from toxitrace.explore.clusters import near_duplicate_clusters, neighbours, similar_groups, split_by_cluster
from toxitrace.explore.config import (
    DPOSettings,
    GenerateSettings,
    GroundSettings,
    LoraSettings,
    PretrainLMSettings,
    PromptLimits,
    ReplyLimits,
    SFTSettings,
    SmallLMSize,
)
from toxitrace.explore.generators import Generator
from toxitrace.explore.llm_generate import LLMGenerator
from toxitrace.explore.preferences import Compared, Preference, comparison_pairs, mix, sampled_pairs
from toxitrace.explore.prompts import Style, query_request, render
from toxitrace.explore.query_metrics import QuerySetMetrics, measure, review_list
from toxitrace.explore.records import KeepRule, QueryRecord, SeedItem, keep_annotated, query_records, seed_items
from toxitrace.explore.replies import ParsedReply, ReplyCounts, count_replies, parse_reply
from toxitrace.explore.rewards import Judged, iter_judged, judge_queries
from toxitrace.explore.training_rows import (
    Demonstration,
    demonstrations,
    read_demonstrations,
    read_preferences,
    write_rows,
)

__all__ = [
    "Compared",
    "DPOSettings",
    "Demonstration",
    "GenerateSettings",
    "Generator",
    "GroundSettings",
    "Judged",
    "KeepRule",
    "LLMGenerator",
    "LoraSettings",
    "ParsedReply",
    "Preference",
    "PretrainLMSettings",
    "PromptLimits",
    "QueryRecord",
    "QuerySetMetrics",
    "ReplyCounts",
    "ReplyLimits",
    "SFTSettings",
    "SeedItem",
    "SmallLMSize",
    "SpanQueries",
    "Style",
    "TfidfKeywords",
    "WholeText",
    "comparison_pairs",
    "count_replies",
    "demonstrations",
    "iter_judged",
    "judge_queries",
    "keep_annotated",
    "measure",
    "mix",
    "near_duplicate_clusters",
    "neighbours",
    "parse_reply",
    "query_records",
    "query_request",
    "read_demonstrations",
    "read_preferences",
    "render",
    "review_list",
    "sampled_pairs",
    "seed_items",
    "similar_groups",
    "split_by_cluster",
    "write_rows",
]
