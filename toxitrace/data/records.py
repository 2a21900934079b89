"""One text with what is known about it."""

from __future__ import annotations

from dataclasses import dataclass

from toxitrace.errors import DataError


@dataclass(frozen=True, slots=True)
class Example:
    """A text with its label and evidence, whatever data set it came from.

    Attributes:
        id: unique within its file; annotations are joined by it.
        text: the untouched string that all offsets refer to.
        label: 1 toxic, 0 not toxic, None unknown.
        topic: the data set's own topic name.
        spans: evidence as half-open ``[start, end)`` in code points, in reading order and disjoint;
            None = nobody looked, () = somebody looked and found none.
        fine: the data set's own fine-grained class.

    Raises:
        DataError: a field has a value that no reader may produce.

    >>> Example("a-0", "你真是个笨蛋", 1, spans=((4, 6),)).evidence
    ('笨蛋',)
    """

    id: str
    text: str
    label: int | None
    topic: str | None = None
    spans: tuple[tuple[int, int], ...] | None = None
    fine: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise DataError(f"id is {self.id!r}; expected a string that is not empty")
        if not isinstance(self.text, str):
            raise DataError(f"text is {type(self.text).__name__}; expected a string")
        # bool is an int: True would pass `in (0, 1)` and then print as a third kind of label
        if self.label is not None and (type(self.label) is not int or self.label not in (0, 1)):
            raise DataError(f"label is {self.label!r}; expected 0 (not toxic), 1 (toxic) or none")
        previous = 0
        for start, end in self.spans or ():
            if not 0 <= start < end <= len(self.text):
                raise DataError(
                    f"span [{start}, {end}) does not fit its text of {len(self.text)} characters; "
                    "expected 0 <= start < end <= length in code points"
                )
            if start < previous:
                raise DataError(f"span [{start}, {end}) begins before the span ahead of it ends; sort and merge them")
            previous = end

    @property
    def evidence(self) -> tuple[str, ...]:
        """The marked stretches as strings, in reading order."""
        return tuple(self.text[start:end] for start, end in self.spans or ())
