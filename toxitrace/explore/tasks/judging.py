"""Which posts are toxic: by their labels, and by a detector where there is none; what the detector said is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from toxitrace.errors import ConfigError, DataError
from toxitrace.explore.rewards import Judged, iter_judged
from toxitrace.explore.tasks.items import read_items

if TYPE_CHECKING:
    from toxitrace.search.protocol import Hit, Item, SearchEngine
    from toxitrace.types import Prediction

DEFAULT_DETECTOR = "default"


class Predicts(Protocol):
    """A detector, as far as it is needed here."""

    def predict(self, texts: Iterable[str], /) -> list[Prediction]:
        """One prediction for each text."""
        ...


class Judging:
    """τ of methods.md 2, for `toxitrace.explore.judge_queries`.

    Args:
        labels: id -> toxic or not; a label always wins.
        texts: id -> text, for the detector.
        detector: judges what has no label; None: a post without label is an error.
    """

    def __init__(
        self, labels: Mapping[str, bool], texts: Mapping[str, str] | None = None, detector: Predicts | None = None
    ) -> None:
        self._labels = labels
        self._texts = texts or {}
        self._detector = detector
        self._verdicts: dict[str, bool] = {}

    def __call__(self, id: str) -> bool:
        found = self._labels.get(id)
        if found is None:
            found = self._verdicts.get(id)
        if found is None:
            self.learn([id])
            found = self._verdicts[id]
        return found

    def learn(self, ids: Iterable[str]) -> None:
        """Have the detector judge these posts at once, as far as nobody has."""
        new = [id for id in dict.fromkeys(ids) if id not in self._labels and id not in self._verdicts]
        if not new:
            return
        missing = next((id for id in new if id not in self._texts), None)
        if self._detector is None or missing is not None:
            raise DataError(
                f"the search found item {missing or new[0]!r}, which has no label"
                f"{'' if missing is None else ' and no text'}; expected every item of the index among those of "
                "--platform: name its file, and --detector where items have no labels"
            )
        found = self._detector.predict([self._texts[id] for id in new])
        self._verdicts.update((id, one.toxic) for id, one in zip(new, found, strict=True))

    def findable(self, known: Collection[str]) -> frozenset[str]:
        """Those of the known items that a search can find: on a labelled platform its toxic ones, else all."""
        return frozenset(id for id in known if self._labels.get(id, self.n_toxic is None))

    @property
    def n_toxic(self) -> int | None:
        """Toxic items of the platform; None unless all of them have a label."""
        return None if self._texts.keys() - self._labels.keys() else sum(self._labels.values())

    @property
    def base_rate(self) -> float | None:
        """Share of toxic items on the platform; None unless all of them have a label."""
        n_toxic = self.n_toxic
        return None if n_toxic is None or not self._labels else n_toxic / len(self._labels)

    @property
    def n_by_detector(self) -> int:
        """Posts that the detector has judged so far."""
        return len(self._verdicts)


def open_judging(platform: Iterable[str], detector: str | None = None) -> Judging:
    """Labels of the platform's items, with a detector for those that have none.

    Args:
        platform: files of items, see `read_items`.
        detector: model folder or name, or ``default`` for the shipped one; None: labels alone.

    Raises:
        ConfigError: no file is named.
    """
    files = list(platform)
    if not files:
        raise ConfigError("expected --platform FILE, the items of the index with their labels")
    items = read_items(files)
    labels = {item.id: item.label == 1 for item in items if item.label is not None}
    if detector is None and not labels:
        raise DataError(f"none of the {len(items)} items of --platform has a label; expected some, or --detector")
    model: Predicts | None = None
    if detector is not None:
        from toxitrace.detector.loading import load

        model = load(None if detector == DEFAULT_DETECTOR else detector)
    return Judging(labels, {item.id: item.text for item in items}, model)


def judged(
    engine: SearchEngine,
    queries: Sequence[str],
    judging: Judging,
    k: int,
    exclude: Sequence[Collection[str]],
    *,
    batch_size: int = 1024,
) -> Iterator[Judged]:
    """`iter_judged`, the detector asked about all that a batch of queries found at once."""
    return iter_judged(_Learning(engine, judging), queries, judging, k, exclude, batch_size=batch_size)


class _Learning:
    """An engine that shows its hits to the judge before anybody asks about one of them."""

    def __init__(self, engine: SearchEngine, judging: Judging) -> None:
        self._engine = engine
        self._judging = judging

    def index(self, items: Iterable[Item]) -> None:
        self._engine.index(items)

    def search(self, query: str, k: int = 100, exclude: Collection[str] = ()) -> list[Hit]:
        return self.search_many([query], k, [exclude])[0]

    def search_many(
        self, queries: Sequence[str], k: int = 100, exclude: Sequence[Collection[str]] | None = None
    ) -> list[list[Hit]]:
        found = self._engine.search_many(queries, k, exclude)
        self._judging.learn(hit.id for hits in found for hit in hits)
        return found

    def __len__(self) -> int:
        return len(self._engine)
