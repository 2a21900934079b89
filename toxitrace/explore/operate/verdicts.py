"""Whether a post is toxic, by label or by detector, and how far the two agree. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from toxitrace.explore.rewards import tihr

Judge = Literal["auto", "label", "detector"]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Both judgements on one post; None where there is none."""

    label: bool | None
    detector: bool | None

    def by(self, judge: Judge) -> bool:
        """The one that counts. A post that nobody judged is not toxic: such posts are counted as bad days.

        >>> Verdicts(None, True).by("auto"), Verdicts(False, True).by("auto"), Verdicts(None, True).by("label")
        (True, False, False)
        """
        if judge == "label":
            return bool(self.label)
        if judge == "detector" or self.label is None:
            return bool(self.detector)
        return self.label


@dataclass(frozen=True, slots=True)
class Agreement:
    """Label against detector, on posts that have both.

    Attributes:
        n_both, n_label_only, n_detector_only, n_neither: posts by who calls them toxic.
        n_queries: queries with such posts among their results.
        mean_tihr_label, mean_tihr_detector: over those posts of each query.
        mean_difference: mean absolute difference of the two rates of a query.
    """

    n_both: int
    n_label_only: int
    n_detector_only: int
    n_neither: int
    n_queries: int
    mean_tihr_label: float
    mean_tihr_detector: float
    mean_difference: float

    @property
    def n_posts(self) -> int:
        return self.n_both + self.n_label_only + self.n_detector_only + self.n_neither

    @property
    def agreement(self) -> float:
        """Share of posts on which they agree."""
        return _share(self.n_both + self.n_neither, self.n_posts)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa; None where chance alone agrees fully (all posts alike).

        >>> Agreement(2, 0, 0, 2, 1, 0.5, 0.5, 0.0).kappa, Agreement(4, 0, 0, 0, 1, 1.0, 1.0, 0.0).kappa
        (1.0, None)
        """
        if not self.n_posts:
            return None
        label = (self.n_both + self.n_label_only) / self.n_posts
        detector = (self.n_both + self.n_detector_only) / self.n_posts
        chance = label * detector + (1 - label) * (1 - detector)
        return (self.agreement - chance) / (1 - chance) if chance < 1 else None

    @property
    def precision(self) -> float:
        """Share of what the detector calls toxic that the labels call so too."""
        return _share(self.n_both, self.n_both + self.n_detector_only)

    @property
    def recall(self) -> float:
        """Share of what the labels call toxic that the detector finds."""
        return _share(self.n_both, self.n_both + self.n_label_only)


def compare(posts: Iterable[Verdicts], queries: Iterable[Sequence[Verdicts]]) -> Agreement:
    """Measure the difference.

    Args:
        posts: every post once.
        queries: the results of each query.

    >>> both, missed = Verdicts(True, True), Verdicts(True, False)
    >>> found = compare([both, missed], [[both, missed]])
    >>> found.recall, found.mean_tihr_label, found.mean_tihr_detector
    (0.5, 1.0, 0.5)
    """
    judged = [(post.label, post.detector) for post in posts if post.label is not None and post.detector is not None]
    rates = []
    for results in queries:
        twice = [one for one in results if one.label is not None and one.detector is not None]
        if twice:
            rates.append((tihr([bool(one.label) for one in twice]), tihr([bool(one.detector) for one in twice])))
    return Agreement(
        judged.count((True, True)),
        judged.count((True, False)),
        judged.count((False, True)),
        judged.count((False, False)),
        len(rates),
        _share(sum(label for label, _ in rates), len(rates)),
        _share(sum(detector for _, detector in rates), len(rates)),
        _share(sum(abs(label - detector) for label, detector in rates), len(rates)),
    )


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0
