"""An agreement in words and figures that people read."""

from __future__ import annotations

from itertools import zip_longest

from toxitrace.annotate.agreement import Agreement, Difference
from toxitrace.annotate.excerpt import excerpt
from toxitrace.evaluation import Interval
from toxitrace.report.side_by_side import Table, TwoMarkings

_LABELS = {0: "labelled non-toxic", 1: "labelled toxic", None: "no label"}


def figures(agreement: Agreement, names: tuple[str, str]) -> Table:
    """All measures with their intervals, percentages but for kappa."""
    left, right = names
    rows = [
        ("texts in both", str(agreement.n_texts), ""),
        (f"texts in {left} alone", str(agreement.n_left_only), ""),
        (f"texts in {right} alone", str(agreement.n_right_only), ""),
        (f"rows not judged, {left} (left out)", str(agreement.n_left_not_judged), ""),
        (f"rows not judged, {right} (left out)", str(agreement.n_right_not_judged), ""),
        _percent(f"without evidence, {left}", agreement.left_empty),
        _percent(f"without evidence, {right}", agreement.right_empty),
        _percent("agree on evidence or none", agreement.same_verdict),
        ("kappa of evidence or none", *_cells(agreement.kappa, 1, 3)),
        _percent("character F1", agreement.character_f1),
        _percent("character IoU", agreement.iou),
        _percent("exact span F1", agreement.exact_f1),
        ("texts where both mark", str(agreement.n_both), ""),
        _percent("character F1 where both mark", agreement.character_f1_both),
    ]
    return Table(f"{left} and {right}", ("measure", "value", "95 % interval"), tuple(rows))


def top_strings(agreement: Agreement, names: tuple[str, str], n: int) -> Table:
    """The most frequent evidence of either source, side by side."""
    pairs = zip_longest(agreement.left_top[:n], agreement.right_top[:n], fillvalue=("", 0))
    rows = [tuple(cell for string, count in pair for cell in (string, str(count or ""))) for pair in pairs]
    return Table("most frequent evidence", (names[0], "spans", names[1], "spans "), tuple(rows))


def marked(difference: Difference) -> TwoMarkings:
    """A text that the sources mark differently; of a long one, the marked parts with what stands around them."""
    note = f"{difference.n_chars} characters marked by one alone · {_LABELS[difference.label]}"
    text, (left, right) = excerpt(difference.text, difference.left, difference.right)
    return TwoMarkings(difference.id, note, text, left, right)


def _percent(name: str, value: Interval) -> tuple[str, str, str]:
    return (name, *_cells(value, 100, 1))


def _cells(value: Interval, factor: float, digits: int) -> tuple[str, str]:
    if value.value != value.value:  # NaN: not defined on these texts
        return "-", ""
    low, high = (f"{factor * part:.{digits}f}" for part in (value.low, value.high))
    return f"{factor * value.value:.{digits}f}", f"{low} - {high}"
