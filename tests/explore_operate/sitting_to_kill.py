"""A sitting in a process of its own, over a real BM25 folder; it logs every search and kills itself where it is told.

    python sitting_to_kill.py FOLDER WHERE NUMBER

WHERE: ``search`` (before the engine is asked), ``score`` (before found posts are scored), ``write`` (before queries are
written), ``files`` (before the report is written), ``never``; NUMBER: at which such moment, from 1.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from operate_doubles import FakeDetector, Sittings, flagged

from toxitrace.explore.operate import Tools, index_mark, run_sitting, sitting, writers
from toxitrace.search import open_engine


def main(folder: Path, where: str, number: int) -> None:
    left = {where: number}

    def moment(name: str) -> None:
        left[name] = left.get(name, 0) - 1
        if left[name] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    spec = f"bm25:{folder / 'index'}"
    engine: Any = open_engine(spec)
    search = engine.search

    def logged(query: str, *arguments: Any) -> Any:
        moment("search")
        hits = search(query, *arguments)
        with (folder / "searches.log").open("a", encoding="utf-8") as log:
            log.write(query + "\n")
        return hits

    engine.search = logged

    class Detector(FakeDetector):
        def predict(self, *arguments: Any, **named: Any) -> Any:
            moment("score")
            return super().predict(*arguments, **named)

    write, write_text = writers.RuleWriter.write, sitting.write_text

    def written(self: Any, items: Any) -> Any:
        moment("write")
        return write(self, items)

    def reported(*arguments: Any) -> None:
        moment("files")
        write_text(*arguments)

    writers.RuleWriter.write, sitting.write_text = written, reported  # type: ignore[method-assign]
    seeds = flagged("p0", "p2", "p3", "p6")
    config = Sittings(folder).config(seeds, engine=spec, batch=2, generator="whole")
    run_sitting(config, Tools(engine, index_mark(spec, engine, None), Detector(), "d"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
