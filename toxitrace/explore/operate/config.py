"""Settings of the operating loop, as frozen dataclasses. No torch here: help must be quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from toxitrace.config import Paths
from toxitrace.errors import ConfigError
from toxitrace.explore.operate.verdicts import Judge
from toxitrace.explore.prompts import Style
from toxitrace.explore.query_metrics import THRESHOLDS

PairKind = Literal["threshold", "gap"]


def _require(ok: bool, flag: str, value: object, expected: str) -> None:
    if not ok:
        raise ConfigError(f"--{flag} is {value!r}; expected {expected}: correct it")


@dataclass(frozen=True)
class AskSettings:
    """What a language model behind a service may cost."""

    concurrency: int = 4
    """Requests at the same time."""
    max_requests: int | None = None
    """Stop before more requests than this are sent in one sitting."""
    max_cost: float | None = None
    """Stop before this many US dollars are spent in one sitting."""
    price_in: float | None = None
    """US dollars per million tokens of the questions, if not as listed."""
    price_out: float | None = None
    """US dollars per million tokens of the answers, if not as listed."""
    timeout_seconds: float = 120.0
    """Longest silence of the service."""

    def __post_init__(self) -> None:
        _require(self.concurrency >= 1, "ask.concurrency", self.concurrency, "1 or more requests")


@dataclass(frozen=True)
class RetireRule:
    """When a query is not used again: its mean tihr over its last trials is too low. One round is one trial."""

    min_tihr: float = 0.05
    """p: a lower mean toxic-item hit rate retires a query; 0 retires none."""
    n_trials: int = 3
    """n: rounds that a query is given."""

    def __post_init__(self) -> None:
        _require(0 <= self.min_tihr <= 1, "retire.min_tihr", self.min_tihr, "a share in [0, 1]")
        _require(self.n_trials >= 1, "retire.n_trials", self.n_trials, "1 or more rounds")


@dataclass(frozen=True)
class PairSettings:
    """How queries become preferences for the next DPO."""

    kind: PairKind = "threshold"
    """threshold: D_comp, the queries above against those below it; gap: best against worst, second best against ..."""
    threshold: float = 0.05
    """Toxic-item hit rate that parts good from bad."""
    min_gap: float = 0.1
    """Least difference of the rewards with kind gap."""
    group_size: int = 1
    """Most similar items shown together (D_cat), beside the single ones; 1: single items alone."""
    group_similarity: float = 0.3
    """Least similarity (cosine of character n-grams) of items in a group."""
    style: Style = "compact"
    """Of the prompts: compact for the small model from scratch, chat for instructed ones."""
    seed: int = 1
    """Draws which items look for company first."""

    def __post_init__(self) -> None:
        _require(0 <= self.threshold < 1, "pairs.threshold", self.threshold, "a share in [0, 1)")
        _require(0 <= self.min_gap <= 1, "pairs.min_gap", self.min_gap, "a difference in [0, 1]")
        _require(0 < self.group_similarity <= 1, "pairs.group_similarity", self.group_similarity, "a cosine in (0, 1]")
        _require(self.group_size >= 1, "pairs.group_size", self.group_size, "1 or more items")


@dataclass(frozen=True)
class OperateConfig:
    """Flagged items -> queries -> searches -> a review list, preferences and a report; go on by the same command."""

    flagged: Paths = field(default_factory=Paths)
    """Flagged items: .jsonl as `toxitrace predict` writes it, or texts (.jsonl, .txt) that are scored first."""
    engine: str = ""
    """bm25:FOLDER, milvus:FILE.db or milvus:ADDRESS, with #COLLECTION."""
    items: Paths = field(default_factory=Paths)
    """Files of the indexed items, {"id", "text"} a line: search engines give ids alone."""
    labels: str | None = None
    """File of known verdicts, {"id", "label"} or {"id", "toxic"} a line: reviewers' decisions, gold labels; such
    posts are not listed for review."""
    output: str = "runs/explore-run"
    """Folder that gets store.sqlite, report.html, queries.jsonl, preferences.jsonl, review-0001.jsonl, ..."""
    generator: str = "spans"
    """spans, keywords, keywords-joined, whole, lm:FOLDER, gemini:MODEL, openai:MODEL, or replay:FILE (recorded)."""
    llm_url: str | None = None
    """Address of another server, e.g. http://localhost:8000/v1."""
    ask: AskSettings = field(default_factory=AskSettings)
    """Limits for a language model behind a service."""
    n_replies: int = 1
    """Replies of a language model per item; the more, the more pairs to prefer among."""
    grounded: bool = False
    """lm:FOLDER writes queries of the item's own words alone; the others either do already or cannot."""
    seed: int = 1
    """Of sampled replies."""
    batch: int = 32
    """Items whose queries are written, and searched, before the next ones."""
    model: str | None = None
    """Detector that scores what is found; none: the default model."""
    threshold: float | None = None
    """Probability from which the detector calls a post toxic; none: the model's own."""
    judge: Judge = "auto"
    """Who decides what a result is: auto (its label, else the detector), label, or detector."""
    k: int = 100
    """Most results of a query; fixed for a store."""
    queries_per_second: float | None = 5.0
    """Most searches per second; none: as fast as the engine answers."""
    max_searches: int | None = None
    """Searches of one sitting; the others wait for the next."""
    search_tries: int = 5
    """How often a search is tried before it is left for the next sitting."""
    wait_seconds: float = 1.0
    """Longest wait before the second try; doubles with every further one, up to a minute."""
    again: bool = True
    """Search known queries again once the index has changed."""
    index_version: str | None = None
    """Name of the index's state; another name begins a new round. None: told by the index itself."""
    retire: RetireRule = field(default_factory=RetireRule)
    """Which queries are given up."""
    budget: int = 200
    """Posts listed of what has been found so far; new searches, or a higher number, bring the next list."""
    min_probability: float = 0.0
    """Posts below this are not listed for review, even if the budget allows."""
    pairs: PairSettings = field(default_factory=PairSettings)
    """Preferences for the next DPO."""
    base_rate: float | None = None
    """Share of toxic posts on the platform, for the report; none: that of the labels if every item has one."""
    tihr_thresholds: tuple[float, ...] = THRESHOLDS
    """p of the shares of queries with tihr > p, for the report."""
    dry_run: bool = False
    """Say what would be written and searched, and do nothing."""

    @property
    def writer(self) -> str:
        """Who writes, for the record: a name on another server is another model."""
        return f"{self.generator} at {self.llm_url}" if self.llm_url else self.generator

    def __post_init__(self) -> None:
        for name in ("n_replies", "batch", "k", "search_tries", "budget"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        local = not self.grounded or self.generator.startswith("lm:")
        _require(local, "grounded", self.grounded, f"--generator lm:FOLDER with it, not {self.generator}")
        rate, most, base = self.queries_per_second, self.max_searches, self.base_rate
        _require(rate is None or rate > 0, "queries_per_second", rate, "more than 0, or null for no limit")
        _require(most is None or most >= 0, "max_searches", most, "0 or more searches")
        _require(self.wait_seconds >= 0, "wait_seconds", self.wait_seconds, "0 or more seconds")
        _require(0 <= self.min_probability <= 1, "min_probability", self.min_probability, "a probability in [0, 1]")
        _require(base is None or 0 <= base <= 1, "base_rate", base, "a share in [0, 1]")
        _require(all(0 <= p <= 1 for p in self.tihr_thresholds), "tihr_thresholds", self.tihr_thresholds, "shares")
        _require(self.judge != "label" or bool(self.labels), "judge", self.judge, "--labels FILE beside it")
