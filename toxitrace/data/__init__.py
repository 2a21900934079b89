"""Readers of labelled texts, weak spans and rationales."""

from toxitrace.data.annotations import (
    BUILTINS,
    Queries,
    Rationales,
    SpanAnnotation,
    attach_spans,
    read_queries,
    read_rationales,
    read_spans,
    unknown_ids,
)
from toxitrace.data.cntp import read_cntp
from toxitrace.data.cold import read_cold
from toxitrace.data.csvfile import read_csv
from toxitrace.data.download import SOURCES, Source, default_cache_dir, fetch
from toxitrace.data.duplicates import drop_duplicate_texts
from toxitrace.data.formats import READERS, guess_format, read_examples
from toxitrace.data.hashing import sha256_file
from toxitrace.data.jsonl import iter_json_rows, parse_json_row, read_jsonl
from toxitrace.data.offsets import merge_offsets
from toxitrace.data.records import Example
from toxitrace.data.state_toxicn import read_state_toxicn
from toxitrace.data.swsr import read_swsr
from toxitrace.data.toxicn import read_toxicn

__all__ = [
    "BUILTINS",
    "READERS",
    "SOURCES",
    "Example",
    "Queries",
    "Rationales",
    "Source",
    "SpanAnnotation",
    "attach_spans",
    "default_cache_dir",
    "drop_duplicate_texts",
    "fetch",
    "guess_format",
    "iter_json_rows",
    "merge_offsets",
    "parse_json_row",
    "read_cntp",
    "read_cold",
    "read_csv",
    "read_examples",
    "read_jsonl",
    "read_queries",
    "read_rationales",
    "read_spans",
    "read_state_toxicn",
    "read_swsr",
    "read_toxicn",
    "sha256_file",
    "unknown_ids",
]
