"""Review lists as files, for reviewers: each is written once and never changed."""

from __future__ import annotations

from pathlib import Path

from toxitrace.errors import DataError
from toxitrace.explore.operate.config import OperateConfig
from toxitrace.explore.operate.outputs import review_file, write_review
from toxitrace.explore.operate.review import count_decided, count_toxic, count_waiting, read_list
from toxitrace.explore.operate.store import Store

_WRITTEN = "lists_written"  # the number of the last list whose file was written


def hand_out(store: Store, last: int, threshold: float, folder: Path) -> list[str]:
    """Write the lists that have no file yet; returns what there is to say.

    A list that a killed run chose and did not write is written now. A file that is there stays as it is, whatever is
    known of its posts by now; one that was moved away does not come back, but for the last one.

    Args:
        last: number of the last list.
        threshold: probability from which the detector calls a post toxic.
    """
    n_written = int(store.fact(_WRITTEN) or 0)
    lines = []
    for number in range(min(n_written + 1, last), last + 1):
        if not review_file(number, folder).exists():
            posts = read_list(store, number, threshold)
            lines.append(f"{len(posts)} posts to review in {write_review(posts, number, folder)}")
    store.set_fact(_WRITTEN, str(max(n_written, last)))
    return lines or [f"no further posts to review; the last list is {review_file(last, folder)}"]


def require_own_lists(store: Store, folder: Path) -> None:
    """Refuse a folder with review lists of another store: theirs would be taken for ours, and no post be listed again.

    Raises:
        DataError: a list is there that this store does not know.
    """
    (last,) = store.connection.execute("SELECT max(number) FROM lists").fetchone()
    foreign = [path.name for path in sorted(folder.glob("review-*.jsonl")) if _number(path) > (last or 0)]
    if foreign:
        raise DataError(
            f"{folder} holds {foreign[0]}, which its store.sqlite knows nothing of; expected its own lists alone: move "
            "the others away, or name another --output"
        )


def _number(path: Path) -> int:
    digits = path.stem.removeprefix("review-")
    return int(digits) if digits.isdecimal() else 0


def waiting_line(store: Store, config: OperateConfig) -> list[str]:
    """How many posts were found and are on no list for want of budget, if any are."""
    n = count_waiting(store, config.min_probability)
    if not n:
        return []
    return [
        f"{n} more found posts are on no list yet: the next searches bring them, or --budget above {config.budget} does"
    ]


def decided_line(store: Store, min_probability: float) -> list[str]:
    """How many posts are on no list because of their verdict, if any are."""
    n = count_decided(store, min_probability)
    return [f"{n} found posts have a verdict in --labels and are not listed for review"] if n else []


def exhausted_warning(store: Store, threshold: float) -> str:
    """What to say if searches found nothing toxic but flagged items; "" if they did, or there were none.

    An item is no result of its own query: where all that is toxic is flagged, there may be no toxic result at all.
    """
    (n_searches,) = store.connection.execute("SELECT count(*) FROM searches").fetchone()
    n_toxic, n_flagged = count_toxic(store, threshold)
    if not n_searches or n_flagged < n_toxic:
        return ""
    but = f" but {n_flagged} flagged items" if n_flagged else ""
    return (
        f"nothing new was found: the detector calls no result toxic{but}; if it calls no other indexed post toxic, "
        "flag fewer or index more"
    )
