"""Flagged items -> their queries, a row for each item, in chunks that a run which goes on repeats whole or never."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toxitrace.data.rowlog import RowLog
from toxitrace.explore.config import GenerateSettings
from toxitrace.explore.records import SeedItem
from toxitrace.explore.tasks.open_generator import ServiceOptions, Writer, open_writer

Told = Callable[[int, int], None]
"""Told how many rows are done in this sitting, and how many there are to do."""

CHUNK = 128


@dataclass(frozen=True, slots=True)
class QueriesReport:
    """What became of the items.

    Attributes:
        n_items: items that have their row.
        n_queries: queries in them.
        n_without: items without any query.
        n_left: items without a row: their request failed or was not sent.
        reason: why, of one of them.
        n_refused: replies of this sitting in which a model declined.
        n_unusable: other replies of this sitting without any query in them.
        cost_usd: of all sittings; None: no service was asked.
    """

    n_items: int
    n_queries: int
    n_without: int
    n_left: int = 0
    reason: str = ""
    n_refused: int = 0
    n_unusable: int = 0
    cost_usd: float | None = None


def write_queries(
    items: Sequence[SeedItem],
    output: Path,
    generator: str,
    *,
    settings: Mapping[str, Any],
    generate: GenerateSettings | None = None,
    service: ServiceOptions | None = None,
    resume: bool = False,
    told: Told | None = None,
) -> QueriesReport:
    """Write ``{"id", "queries"}`` rows in the order of the items.

    Args:
        items: flagged ones.
        output: gets the rows.
        generator: see `toxitrace.explore.tasks.open_generator.FORMS`.
        settings: what else shapes a row, e.g. hashes of the files read; a run that goes on must have the same.
        generate: how a local model writes.
        service: how a service is asked.
        resume: go on with what an earlier run left; items whose request failed are asked again.
        told: for progress.
    """
    generate = generate or GenerateSettings()
    shaped = {**settings, "generator": generator, "generate": asdict(generate)}
    with RowLog(output, shaped, resume=resume) as log:
        n_before = len(log.rows)
        failures: dict[str, str] = {}
        n_refused, n_unusable, cost = 0, 0, log.report.get("spending")
        if n_before < len(items):
            with open_writer(
                generator, generate=generate, service=service or ServiceOptions(), output=output, spent=cost or {}
            ) as writer:
                try:
                    for start in range(0, len(items), CHUNK):
                        # always the whole chunk: what a model draws depends on what is drawn with it
                        chunk = items[start : start + CHUNK]
                        if any((item.id,) not in log.rows for item in chunk):
                            rows = _new_rows(log, chunk, writer)
                            log.add(rows)
                            if told:
                                told(len(log.rows) - n_before, len(items) - n_before)
                            if not rows:  # the service is gone, the budget is spent: the rest would fail alike
                                break
                finally:
                    spending = writer.spending()
                    cost = asdict(spending) if spending else cost
                    log.note({"spending": cost})
                    counts = writer.counts()
                    if counts:
                        n_refused, n_unusable = counts.n_refused, counts.n_without_query - counts.n_refused
                    failures = dict(writer.failures)
        written = [log.rows[item.id,] for item in items if (item.id,) in log.rows]
        left = [item.id for item in items if (item.id,) not in log.rows]
        report = QueriesReport(
            n_items=len(written),
            n_queries=sum(len(row["queries"]) for row in written),
            n_without=sum(not row["queries"] for row in written),
            n_left=len(left),
            reason=next((failures[id] for id in left if id in failures), ""),
            n_refused=n_refused,
            n_unusable=n_unusable,
            cost_usd=cost["cost_usd"] if cost else None,
        )
        log.finish(((item.id,) for item in items), {**asdict(report), "spending": cost})
    return report


def _new_rows(log: RowLog, chunk: Sequence[SeedItem], writer: Writer) -> list[dict[str, Any]]:
    return [
        {"id": item.id, "queries": list(queries)}
        for item, queries in zip(chunk, writer.generator.queries(chunk), strict=True)
        if (item.id,) not in log.rows and (queries or item.id not in writer.failures)
    ]
