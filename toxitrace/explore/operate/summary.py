"""A store as tables and posts for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from toxitrace.explore.operate.config import OperateConfig
from toxitrace.explore.operate.figures import Figures, Searched
from toxitrace.explore.operate.review import Post
from toxitrace.explore.query_metrics import QuerySetMetrics, measure
from toxitrace.report.explore_page import FoundPost, excerpt, explore_page
from toxitrace.report.side_by_side import Table

_N_QUERIES, _N_POSTS, _MAX_CHARS = 100, 50, 60

# kind -> what it says in a report
BAD_DAYS = {
    "bad_line": "lines of --flagged that hold no item",
    "broken_text": "texts with broken characters (lone surrogates)",
    "dropped_lines": "answers with lines that are no query",
    "duplicate_id": "ids that came twice",
    "duplicate_text": "texts that came under several ids",
    "empty_result": "searches that found nothing",
    "no_query": "answers without a query",
    "no_reply": "requests for queries without an answer",
    "no_text": "found posts whose text is not known",
    "refused": "answers that were refused",
    "search_failed": "searches that failed (every try counts)",
}


def page(
    figures: Figures, searches: Sequence[Searched], posts: Sequence[Post], config: OperateConfig, facts: dict[str, str]
) -> str:
    """The HTML report.

    Args:
        posts: the review list that this sitting filled.
        config: with the base rate filled in, where it is known.
        facts: settings and counts for the first table.
    """
    retired = [one for one in searches if one.retired]
    tables = [
        Table("The exploration", ("", ""), tuple(facts.items())),
        _metrics_table(figures, searches, config),
        *_agreement_tables(figures, searches),
        Table(
            "Bad days",
            ("what", "how often", "the last one"),
            tuple((BAD_DAYS.get(kind, kind), str(n), detail[:120]) for kind, n, detail in figures.bad_days()),
        ),
        _query_table("Queries that found most", sorted(searches, key=lambda one: (-one.judged.hit, one.number))),
        *([_query_table("Queries that are retired", retired)] if retired else []),
    ]
    shown = [_found(post) for post in islice(posts, _N_POSTS)]
    return explore_page("toxitrace explore run", tables, shown, len(posts) - len(shown))


def by_generator(figures: Figures, searches: Sequence[Searched], config: OperateConfig) -> dict[str, QuerySetMetrics]:
    """The published figures and ours, of all queries together and of each generator's."""
    known = {seed.id for seed in figures.seeds()}
    names = dict.fromkeys(name for one in searches for name in one.generators)
    groups = {"all": list(searches)} | {name: [one for one in searches if name in one.generators] for name in names}
    return {
        name: measure(
            [one.judged for one in group],
            thresholds=config.tihr_thresholds,
            budget=config.budget,
            known=known,
            base_rate=config.base_rate,
        )
        for name, group in groups.items()
    }


def _metrics_table(figures: Figures, searches: Sequence[Searched], config: OperateConfig) -> Table:
    measured = by_generator(figures, searches, config)
    rows = []
    for name, one in measured.items():
        shares = [one.qhr, *(share for _, share in one.qhr_at), one.mean_tihr, one.mean_precision_at_10]
        rows.append(
            (
                name,
                str(one.n_queries),
                str(one.n_without_results),
                *(f"{share:.3f}" for share in shares),
                f"{one.precision_at_budget:.3f}",
                str(one.n_new_toxic),
                f"{one.new_toxic_per_100_queries:.1f}",
            )
        )
    base = "not known" if config.base_rate is None else f"{config.base_rate:.3f}"
    at = tuple(f"tihr > {p:g}" for p in config.tihr_thresholds)
    columns = ("queries of", "number", "empty", "hit > 0", *at, "mean tihr", "precision at 10")
    columns += (f"precision at {config.budget}", "new toxic posts", "per 100 queries")
    return Table(f"Last search of every query; judged by {config.judge}, base rate {base}", columns, tuple(rows))


def _agreement_tables(figures: Figures, searches: Sequence[Searched]) -> list[Table]:
    """The table, if there is anything to compare."""
    one = figures.agreement(searches)
    if not one.n_posts:
        return []
    kappa = "not defined" if one.kappa is None else f"{one.kappa:.3f}"
    rows = (
        ("posts with both", str(one.n_posts)),
        ("both toxic, label alone, detector alone, neither",
         f"{one.n_both}, {one.n_label_only}, {one.n_detector_only}, {one.n_neither}"),
        ("agreement, kappa", f"{one.agreement:.3f}, {kappa}"),
        ("detector's precision, recall by the labels", f"{one.precision:.3f}, {one.recall:.3f}"),
        ("mean tihr by label, by detector", f"{one.mean_tihr_label:.3f}, {one.mean_tihr_detector:.3f}"),
        ("mean difference of a query", f"{one.mean_difference:.3f} ({one.n_queries} queries)"),
    )  # fmt: skip
    return [Table("Labels against detector", ("", ""), rows)]


def _query_table(title: str, searches: Sequence[Searched]) -> Table:
    shown = tuple(
        (
            one.judged.query[:_MAX_CHARS],
            ", ".join(one.generators),
            str(one.judged.n_results),
            str(one.judged.hit),
            f"{one.judged.tihr:.3f}",
            str(one.n_rounds),
            ", ".join(one.item_ids[:3]) + (" ..." if len(one.item_ids) > 3 else ""),
        )
        for one in searches[:_N_QUERIES]
    )
    more = len(searches) - len(shown)
    columns = ("query", "by", "results", "toxic", "tihr", "rounds", "made from")
    return Table(f"{title}{f' ({more} more in queries.jsonl)' if more else ''}", columns, shown)


def _found(post: Post) -> FoundPost:
    text, spans = excerpt(post.text, post.spans, _MAX_CHARS)
    label = "" if post.label is None else f" · label {'toxic' if post.label else 'clean'}"
    found_by = " / ".join(query[:_MAX_CHARS] for query in post.queries[:3])
    return FoundPost(post.id, f"{post.probability:.2f}{label} · found by {found_by}", text, spans)
