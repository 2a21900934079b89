"""Every format by name, and guessing the format of a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from toxitrace.data import cntp, cold, csvfile, jsonl, lines, state_toxicn, swsr, toxicn
from toxitrace.data.records import Example
from toxitrace.errors import ConfigError, DataError

READERS: dict[str, Callable[..., list[Example]]] = {
    "jsonl": jsonl.read_jsonl,
    "csv": csvfile.read_csv,
    "cold": cold.read_cold,
    "toxicn": toxicn.read_toxicn,
    "swsr": swsr.read_swsr,
    "cntp": cntp.read_cntp,
    "state-toxicn": state_toxicn.read_state_toxicn,
}
"""Only ``jsonl`` and ``csv`` take field names; the others are fixed layouts."""

# A header that holds these columns is that set's own CSV file.
_HEADERS = {"cold": cold.COLUMNS, "toxicn": toxicn.COLUMNS, "swsr": swsr.COLUMNS}


def guess_format(path: str | os.PathLike[str]) -> str:
    """The name in `READERS` that fits a file's suffix and, for CSV and JSON, its first row.

    Raises:
        DataError: the file cannot be read, or nothing fits.
    """
    suffix = lines.plain_suffix(path)
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    if suffix in (".csv", ".tsv"):
        header = csvfile.read_header(path)
        return next((name for name, columns in _HEADERS.items() if set(columns) <= set(header)), "csv")
    if suffix == ".json":
        rows = jsonl.read_json_list(path)
        first = rows[0][1] if rows else {}
        if "original_text" in first:
            return "cntp"
        if "content" in first and ("output" in first or "Q1 Target" in first):
            return "state-toxicn"
        raise DataError(
            f"{path} is JSON in no known layout (fields {', '.join(map(repr, first)) or 'none'}); "
            f"expected CNTP or STATE-ToxiCN: save other data as .jsonl, or name the format: {', '.join(READERS)}"
        )
    raise DataError(
        f"{path} has the suffix {suffix!r}; expected .jsonl, .csv, .tsv or .json, also with .gz or .xz: "
        f"rename it or name the format: {', '.join(READERS)}"
    )


def read_examples(
    path: str | os.PathLike[str],
    format: str = "auto",
    *,
    text_field: str | None = None,
    label_field: str | None = None,
    require_label: bool = True,
    label_from_spans: bool = False,
) -> list[Example]:
    """Read a data file of any known format.

    Args:
        format: a name in `READERS`, or ``auto`` for `guess_format`.
        text_field: field or column with the text; only for ``jsonl`` and ``csv``, which take "text" by default.
        label_field: the same for the label, "label" by default.
        label_from_spans: only for ``jsonl``: a row without label but with ``spans`` counts as 1 if there are any.
        require_label: data to train or evaluate on, where a missing label or a blank text is an error.

    Raises:
        ConfigError: the format is unknown, or has fixed field names and was given others.
        DataError: the file or one of its rows is unusable.
    """
    if format != "auto" and format not in READERS:
        raise ConfigError(f"format is {format!r}; expected auto or one of {', '.join(READERS)}")
    if format == "auto":
        # naming a column says that the file is to be read as a plain table, whatever its header looks like
        suffix = lines.plain_suffix(path)
        named = text_field is not None or label_field is not None
        format = "csv" if named and suffix in (".csv", ".tsv") else guess_format(path)
    if format in ("jsonl", "csv"):
        kind = "field" if format == "jsonl" else "column"
        options: dict[str, Any] = {f"text_{kind}": text_field, f"label_{kind}": label_field}
        given = {name: value for name, value in options.items() if value is not None}
        if format == "jsonl":
            given["label_from_spans"] = label_from_spans
        return READERS[format](path, require_label=require_label, **given)
    if text_field is not None or label_field is not None:
        raise ConfigError(
            f"format {format!r} has fixed fields; leave text_field and label_field out, or read it as csv"
        )
    return READERS[format](path)
