"""One command's worth of work: open everything, run the loop, leave the files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from toxitrace.data import rowfile
from toxitrace.errors import ConfigError, DataError
from toxitrace.explore.baselines import RULES
from toxitrace.explore.operate.config import OperateConfig
from toxitrace.explore.operate.figures import Figures
from toxitrace.explore.operate.flagged import Scorer, hold_nothing, read_flagged
from toxitrace.explore.operate.handing_out import (
    decided_line,
    exhausted_warning,
    hand_out,
    require_own_lists,
    waiting_line,
)
from toxitrace.explore.operate.loop import Ending, Loop
from toxitrace.explore.operate.outputs import next_pairs, write_text
from toxitrace.explore.operate.platform_files import read_labels, read_texts
from toxitrace.explore.operate.review import read_list
from toxitrace.explore.operate.schema import memory_copy, open_database
from toxitrace.explore.operate.searching import PacedSearch
from toxitrace.explore.operate.store import Store
from toxitrace.explore.operate.summary import BAD_DAYS, page
from toxitrace.explore.operate.writers import RuleWriter, open_writer
from toxitrace.explore.training_rows import write_rows
from toxitrace.llm.batch import stop_on_interrupt
from toxitrace.llm.retry import RetryPolicy
from toxitrace.search.errors import SearchError
from toxitrace.search.protocol import SearchEngine

STORE_FILE = "store.sqlite"
_LONGEST_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Tools:
    """What a sitting works with, opened beforehand.

    Attributes:
        engine: the index.
        index_mark: tells states of the index apart.
        detector: scores posts.
        detector_mark: tells detectors apart.
    """

    engine: SearchEngine
    index_mark: str
    detector: Scorer
    detector_mark: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sitting would do.

    Attributes:
        n_seeds: flagged items for which queries would be written.
        n_queries: new queries; None where only the language model could tell.
        n_searches: searches that are certain.
        round: of the index.
    """

    n_seeds: int
    n_queries: int | None
    n_searches: int
    round: int


def run_sitting(
    config: OperateConfig,
    tools: Tools,
    *,
    stopping: Callable[[], AbstractContextManager[Event]] = stop_on_interrupt,
    say: Callable[[str], object] = lambda line: None,
    progress: Callable[[int, int], object] = lambda n_done, n_left: None,
) -> Ending:
    """Work on the store in ``config.output`` until everything is done or something stops it, and write the files.

    Args:
        config: the run's settings.
        tools: index and detector.
        stopping: entered for the loop alone; the event ends it, by default at Ctrl-C.
        say: told what happens, line by line.
        progress: told how many searches are done and how many are known to be left.

    Raises:
        ConfigError: the store was made with another ``k``, or a setting is unusable.
        DataError: a file is unusable, the index is empty, or another run holds the store.
        SearchError: the engine fails before the first search.
    """
    folder = Path(config.output)
    with closing(open_database(folder / STORE_FILE)) as connection:
        store = Store(connection)
        require_own_lists(store, folder)
        texts = read_texts(config.items, store.note)
        labels = read_labels(config.labels) if config.labels else {}
        round = _prepare(store, config, tools, texts, labels)
        with stopping() as stop, open_writer(config, stop, say) as writer:
            search = _search(store, config, tools, stop, say)
            ending = Loop(
                store, round, writer, search, tools.detector, texts, labels, config, stop=stop, progress=progress
            ).run()
        if config.base_rate is None and texts and texts.keys() <= labels.keys():
            config = replace(config, base_rate=sum(labels[id] for id in texts) / len(texts))
        for line in _leave(store, config, tools, ending, folder):
            say(line)
    return ending


def plan_sitting(config: OperateConfig, tools: Tools) -> Plan:
    """What `run_sitting` would do; the store stays as it is, and nothing is searched or asked."""
    path = Path(config.output) / STORE_FILE
    existing = open_database(path if path.is_file() else ":memory:")
    with closing(existing), closing(memory_copy(existing)) as connection:
        store = Store(connection)
        texts = read_texts(config.items, store.note)
        round = _prepare(store, config, tools, texts, {})
        name = config.generator
        seeds = store.unwritten_seeds(config.writer)
        n_before = len(store.open_queries(round, known=False))
        n_queries: int | None = None
        if name in RULES:
            store.add_written(name, RuleWriter(name, RULES[name]()).write(seeds))
            n_queries = len(store.open_queries(round, known=False)) - n_before
        n_known = len(store.open_queries(round, known=True)) if config.again else 0
        return Plan(len(seeds), n_queries, n_before + (n_queries or 0) + n_known, round)


def index_mark(spec: str, engine: SearchEngine, version: str | None) -> str:
    """What tells states of an index apart: the name that the user gave, else a BM25 folder's manifest or the number of
    items, which misses a change that leaves the number as it is.
    """
    kind, _, place = spec.partition(":")
    if version is not None:
        return f"version {version}"
    if kind == "bm25":
        from toxitrace.search.bm25_folder import MANIFEST

        # The manifest holds hashes of the content, and the name of a folder that differs from one saving to the next.
        manifest = json.loads((Path(place.strip()) / MANIFEST).read_text(encoding="utf-8"))
        content = json.dumps(manifest["sha256"], sort_keys=True)
        return f"bm25 {hashlib.sha256(content.encode()).hexdigest()[:16]}"
    return f"{spec} {len(engine)} items"


def _prepare(store: Store, config: OperateConfig, tools: Tools, texts: dict[str, str], labels: dict[str, bool]) -> int:
    """Check that store and settings fit, bring the store up to date, and return the number of the round."""
    k = store.fact("k")
    if k is not None and int(k) != config.k:
        raise ConfigError(f"--k is {config.k}, but the store in {config.output} was made with {k}: its rates would mix")
    n_items = len(tools.engine)
    if not n_items:
        raise DataError(f"the index {config.engine} holds no items; expected some: index them first")
    seeds = read_flagged(config.flagged, tools.detector, texts, store.note)
    if not seeds and not store.connection.execute("SELECT count(*) FROM seeds").fetchone()[0]:
        if hold_nothing(config.flagged):
            raise DataError(f"--flagged {', '.join(map(str, config.flagged))} is empty; expected items: check the file")
        raise DataError("no flagged item is toxic; expected some to make queries from: check --flagged")
    store.set_fact("k", str(config.k))
    round = store.open_round(tools.index_mark, n_items)
    store.add_seeds(seeds)
    before = store.fact("detector")
    store.refresh_items(texts, labels, rescore=before is not None and before != tools.detector_mark)
    store.set_fact("detector", tools.detector_mark)
    return round


def _search(
    store: Store, config: OperateConfig, tools: Tools, stop: Event, say: Callable[[str], object]
) -> PacedSearch:
    def failed(query: str, error: SearchError) -> None:
        store.note("search_failed", query[:40], str(error), again=True)
        say(f"a search failed: {error}")

    return PacedSearch(
        tools.engine,
        config.k,
        config.queries_per_second,
        RetryPolicy(config.search_tries, config.wait_seconds, _LONGEST_WAIT_SECONDS),
        sleep=stop.wait,
        failed=failed,
        stopped=stop.is_set,
    )


def _leave(store: Store, config: OperateConfig, tools: Tools, ending: Ending, folder: Path) -> list[str]:
    """Write the files; returns what there is to say about them."""
    threshold = tools.detector.threshold
    figures = Figures(store, config.judge, threshold)
    searches = figures.last_searches()
    rowfile.write_rows(folder / "queries.jsonl", (one.to_dict() for one in searches))
    pairs = next_pairs(figures.compared(searches), config.pairs)
    write_rows(pairs, folder / "preferences.jsonl")
    posts = []
    waiting: list[str] = []
    lines = [f"{len(searches)} queries searched so far, {len(pairs)} preferences in {folder / 'preferences.jsonl'}"]
    if ending.list_number is not None:
        posts = read_list(store, ending.list_number, threshold)
        lines += hand_out(store, ending.list_number, threshold, folder)
        waiting = waiting_line(store, config)
        lines += waiting
    decided = decided_line(store, config.min_probability)
    lines += decided
    is_over = ending.complete and not ending.n_seeds_left and not ending.n_searches_left
    warning = exhausted_warning(store, threshold) if is_over else ""
    if warning:
        lines.append(f"warning: {warning}")
    agreement = figures.agreement(searches)
    if agreement.n_posts:
        lines.append(
            f"labels and detector agree on {agreement.agreement:.1%} of {agreement.n_posts} posts; mean tihr "
            f"{agreement.mean_tihr_label:.3f} by label, {agreement.mean_tihr_detector:.3f} by detector"
        )
    known = [post.label for post in posts if post.label is not None]
    if bad := figures.bad_days():
        lines.append("bad days: " + ", ".join(f"{n} {BAD_DAYS.get(kind, kind)}" for kind, n, _ in bad))
    facts = {
        **({"warning": warning} if warning else {}),
        "index": f"{config.engine}, {len(tools.engine)} items" if not ending.reason else config.engine,
        "rounds (states of the index)": str(figures.count("rounds")),
        "flagged items": str(figures.count("seeds")),
        "queries, searches": f"{figures.count('queries')}, {figures.count('searches')}",
        "distinct posts found": str(figures.count("items")),
        "retired patterns": f"{figures.count('retired')} (mean tihr below {config.retire.min_tihr:g} in "
        f"{config.retire.n_trials} rounds)",
        "results of a query, at most": str(config.k),
        "detector's threshold": f"{threshold:g}",
        "review list": f"{len(posts)} posts of at most {config.budget}"
        + (f"; of {len(known)} with a label {sum(known) / len(known):.1%} are toxic" if known else "")
        + "".join(f"; {line}" for line in waiting + decided),
        "preferences": f"{len(pairs)}, kind {config.pairs.kind}, threshold {config.pairs.threshold:g}",
        "left": f"{ending.n_seeds_left} flagged items without queries, {ending.n_searches_left} searches"
        + (f" ({ending.reason})" if ending.reason else ""),
    }
    write_text(page(figures, searches, posts, config, facts), folder / "report.html")
    lines.append(f"report in {folder / 'report.html'}")
    return lines
