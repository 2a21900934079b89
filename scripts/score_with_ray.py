"""Score a folder of Parquet or JSONL files on a Ray cluster, with the code that ``toxitrace predict`` runs.

    pip install "ray[data]"          # beside toxitrace; on every node, and the model at the same path
    python scripts/score_with_ray.py --input posts/ --output scored/ --text-column body --workers 8 --address auto

Rows keep their columns and gain ``toxic, probability, spans, truncated, reason``. A row without a text (null, no
string) gets nulls and a reason. The output is a folder of Parquet files; the order of rows is not kept. Without
``--address`` a Ray of its own is started on this machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from toxitrace import Detector

SPANS = pa.list_(
    pa.struct([("start", pa.int64()), ("end", pa.int64()), ("text", pa.string()), ("score", pa.float64())])
)
COLUMNS = {
    "toxic": pa.bool_(),
    "probability": pa.float64(),
    "spans": SPANS,
    "truncated": pa.bool_(),
    "reason": pa.string(),
}


def score_table(table: pa.Table, detector: Detector, text_column: str = "text", prefix: str = "") -> pa.Table:
    """Add the result columns to a batch of rows.

    Args:
        table: any columns, ``text_column`` among them.
        detector: scores the texts of the batch together.
        text_column: column of the texts.
        prefix: stands before the names of the new columns.

    Raises:
        ValueError: there is no such column, or one of the new names is taken.
    """
    if text_column not in table.column_names:
        raise ValueError(f"the rows have no column {text_column!r}, they have {table.column_names}: see --text-column")
    taken = [name for name in COLUMNS if prefix + name in table.column_names]
    if taken:
        raise ValueError(f"the rows have columns {taken} already; rename the new ones with --prefix NAME_")
    values = table.column(text_column).to_pylist()
    predictions = iter(detector.predict([value for value in values if isinstance(value, str)]))
    results = [
        {**next(predictions).to_dict(), "reason": None} if isinstance(value, str) else {"reason": _reason(value)}
        for value in values
    ]
    for name, kind in COLUMNS.items():
        # A text read whole has no "truncated" in its row; a row without a text has nothing but a reason.
        column = [result.get(name, False if name == "truncated" and "toxic" in result else None) for result in results]
        table = table.append_column(prefix + name, pa.array(column, kind))
    return table


class Scorer:
    """What an actor holds: one detector on one thread."""

    def __init__(self, model: str | None, text_column: str, prefix: str) -> None:
        import toxitrace

        self._detector = toxitrace.load(model, threads=1)
        self._text_column, self._prefix = text_column, prefix

    def __call__(self, table: pa.Table) -> pa.Table:
        return score_table(table, self._detector, self._text_column, self._prefix)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="folder or file: .parquet or .jsonl, local or s3://, gs://")
    parser.add_argument("--input-format", choices=("parquet", "jsonl"), help="if the names do not tell")
    parser.add_argument("--output", required=True, help="folder for Parquet files; a local one must be new or empty")
    parser.add_argument("--model", help="model folder, the same path on every node; else the default")
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--prefix", default="", help="before the names of the new columns, if these are taken")
    parser.add_argument("--workers", type=int, default=1, help="actors; each takes one CPU")
    parser.add_argument("--address", help="a running cluster ('auto' on one of its nodes); else start a Ray here")
    args = parser.parse_args()
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        return _complain('ray is not installed: pip install "ray[data]"')
    output = Path(args.output)
    if "://" not in args.output and output.exists() and (not output.is_dir() or any(output.iterdir())):
        return _complain(f"--output {output} exists and is not empty; name a new folder")
    kind = args.input_format or _format_of(args.input)
    if kind is None:
        return _complain(f"--input {args.input}: expected .parquet or .jsonl files of one kind; see --input-format")
    if args.address:
        ray.init(address=args.address, log_to_driver=False)
    else:  # the actors, a task that reads and one that writes
        ray.init(num_cpus=args.workers + 2, include_dashboard=False, log_to_driver=False)
    rows: Any = ray.data.read_parquet(args.input) if kind == "parquet" else ray.data.read_json(args.input, lines=True)
    columns = rows.schema().names
    if args.text_column not in columns:
        return _complain(f"the rows have no column {args.text_column!r}, they have {columns}: see --text-column")
    scored = rows.map_batches(
        Scorer,
        fn_constructor_kwargs={"model": args.model, "text_column": args.text_column, "prefix": args.prefix},
        batch_format="pyarrow",
        batch_size=256,
        compute=ray.data.ActorPoolStrategy(size=args.workers),
        num_cpus=1,
        udf_modifying_row_count=False,
    )
    scored.write_parquet(args.output)
    return 0


def _format_of(source: str) -> str | None:
    """By the name of a file, or of the files of a local folder; None if that does not tell."""
    folder = Path(source)
    names = [path.name for path in folder.rglob("*")] if folder.is_dir() else [source]
    kinds = {"parquet": (".parquet",), "jsonl": (".jsonl", ".json", ".jsonl.gz")}
    found = [kind for kind, ends in kinds.items() if any(name.lower().endswith(ends) for name in names)]
    return found[0] if len(found) == 1 else None


def _reason(value: Any) -> str:
    return "no text" if value is None else f"the text is of type {type(value).__name__}; expected a string"


def _complain(message: str) -> int:
    sys.stderr.write(f"score_with_ray: error: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
