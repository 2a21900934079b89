"""One annotation run while it lasts: rows into the journal, new texts turned off in time, a report at the end."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from toxitrace.annotate.asking import Session
from toxitrace.annotate.failures import Failures
from toxitrace.annotate.journal import Journal, read_meta, write_meta
from toxitrace.annotate.rows import RationaleRow, SpanRow, Stopped
from toxitrace.data import iter_json_rows
from toxitrace.data.load import hash_sources
from toxitrace.versions import package_versions

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended.

    Attributes:
        output: file of the usable rows.
        rows: rows of all sittings: their number, by outcome, by source, and those that reviewers should see.
        n_left: texts that have no row yet, or one that failed.
        reason: why the run ended before its texts did; empty if it did not.
        interrupted: whether it was the user who ended it.
        llm: what was asked and spent in all sittings, None without a language model.
        remarks: what else a user should know, a line each.
    """

    output: Path
    rows: dict[str, int]
    n_left: int = 0
    reason: str = ""
    interrupted: bool = False
    llm: dict[str, Any] | None = field(default=None)
    remarks: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every text has its final row."""
        return not self.n_left


class Run:
    """Takes rows into a journal as they come, turns the flow of new texts off once a row is stopped, and reports."""

    def __init__(self, output: Path, files: list[str], settings: dict[str, Any], chosen: list[str]) -> None:
        self._output, self._files, self._settings, self._chosen = output, files, settings, chosen
        self._reason = ""
        self.remarks: list[str] = []

    def keep_spending(self, asked: Session) -> None:
        """Write what is spent beside the output as it happens: it counts even if this process is killed."""

        def write() -> None:
            # a full disk must not cost a reply that is paid for; the report writes again, and says what is wrong
            with contextlib.suppress(OSError):
                write_meta(self._output, {"settings": self._settings, "llm": asked.to_dict()})

        asked.budget.watch(write)

    def until_stopped(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, until some row was stopped: what follows would only be stopped too."""
        for item in items:
            if self._reason:
                return
            yield item

    def take(
        self,
        rows: Iterable[SpanRow | Stopped] | Iterable[RationaleRow | Stopped],
        journal: Journal,
        asked: Session | None,
    ) -> None:
        """Write the rows as they come, until they end, one is stopped, or the user ends the run."""
        try:
            self._take(rows, journal)
        except KeyboardInterrupt:
            if asked:  # the second Ctrl-C: requests are under way, and nobody waits for them
                sys.stderr.write(f"stopped at once: {self._n_left(journal)} texts are left: go on with --resume\n")
                raise
            self._reason = "interrupted"

    def _n_left(self, journal: Journal) -> int:
        return sum(id not in journal.done for id in self._chosen)

    def _take(self, rows: Iterable[SpanRow | Stopped] | Iterable[RationaleRow | Stopped], journal: Journal) -> None:
        from toxitrace.report.progress import Begun, progress_on

        n_before, n_all = len(journal.done), max(len(self._chosen), 1)
        progress = None
        n_rows = 0
        failures = Failures(sys.stderr)
        with contextlib.ExitStack() as stack:
            for row in rows:
                if isinstance(row, Stopped):
                    self._reason = row.reason
                    continue
                journal.add(row.to_dict())
                if row.outcome == "failed":
                    failures.note(row.error)
                if progress is None:  # the first row waits for the model: its time says nothing about the others
                    progress = progress_on(unit="rows", begun=Begun(n_before + 1, (n_before + 1) / n_all))
                    stack.enter_context(contextlib.closing(progress))
                    continue
                n_rows += 1
                progress.update(n_rows, min(1.0, (n_before + 1 + n_rows) / n_all))

    def report(self, journal: Journal, asked: Session | None) -> RunReport:
        """Put the output into order, and record how the run went beside it.

        The journal goes last: whoever is killed in between finds rows and spending all the same.
        """
        outcomes = journal.outcomes
        stopped = bool(self._reason)
        n_left = self._n_left(journal) if stopped else outcomes["failed"]
        journal.publish()
        llm = asked.to_dict() if asked else None
        interrupted = stopped and (asked is None or asked.stop.is_set())
        rows = _tally(self._output, outcomes)
        report = RunReport(self._output, rows, n_left, self._reason, interrupted, llm, tuple(self.remarks))
        content = {
            "settings": self._settings,
            "texts_sha256": hash_sources(self._files),
            "versions": package_versions(),
            "rows": report.rows,
            "n_left": n_left,
            "llm": llm,
        }
        write_meta(self._output, content)
        journal.finish()
        return report


def _tally(output: Path, outcomes: Counter[str]) -> dict[str, int]:
    """Rows by outcome, and those of the output by source and by what is noteworthy."""
    found: Counter[str] = Counter()
    for _, row in iter_json_rows(output):
        found[f"from {row['source']}"] += 1
        found["without evidence"] += row.get("spans") == []
        found["with dropped strings"] += bool(row.get("dropped"))
        found["wide"] += bool(row.get("wide"))
    counts = {"rows": outcomes.total(), **dict(sorted(outcomes.items())), **dict(sorted(found.items()))}
    return {name: n for name, n in counts.items() if n}


def spent_before(output: Path, *, resume: bool) -> Mapping[str, Any]:
    """What earlier sittings of this output spent; a run that starts again starts its account again."""
    spent = read_meta(output).get("llm") if resume else None
    return spent if isinstance(spent, dict) else {}
