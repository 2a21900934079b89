"""Saliency of characters -> contiguous spans. Pure functions, numpy only."""

from toxitrace.spans.bicse import bicse, drop_short, scan_cliffs
from toxitrace.spans.merge import merge_spans
from toxitrace.spans.scored import ScoredSpan, scale_saliency, score_bounds
from toxitrace.spans.topk import topk

__all__ = ["ScoredSpan", "bicse", "drop_short", "merge_spans", "scale_saliency", "scan_cliffs", "score_bounds", "topk"]
