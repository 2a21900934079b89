"""The items that a run begins with: predictions, confirmed items, or plain texts that the detector scores first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from toxitrace.data.fields import parse_label, parse_offsets, parse_text
from toxitrace.data.jsonl import parse_json_row
from toxitrace.data.lines import iter_lines, plain_suffix
from toxitrace.data.offsets import Offsets, merge_offsets
from toxitrace.errors import ConfigError, DataError
from toxitrace.explore.operate.identity import hash_id, storable
from toxitrace.explore.operate.platform_files import Note
from toxitrace.explore.records import SeedItem
from toxitrace.types import Prediction

_GROUP = 256  # texts scored at once


class Scorer(Protocol):
    """What the loop needs of a detector."""

    @property
    def threshold(self) -> float:
        """Probability from which a text is toxic."""
        ...

    def predict(self, texts: Iterable[str], *, force_spans: bool = False) -> list[Prediction]:
        """See `toxitrace.Detector.predict`."""
        ...


class _Row(NamedTuple):
    id: str
    text: str
    toxic: bool | None  # None: nobody has said so yet
    spans: Offsets


def read_flagged(
    paths: Iterable[str | os.PathLike[str]], detector: Scorer, texts: Mapping[str, str], note: Note
) -> list[SeedItem]:
    """Toxic items with their evidence, in the order of the files; what is not toxic is left out.

    A row says itself whether it is toxic (``toxic`` or ``label``) and why (``spans``); where it does not, the detector
    does. A string id is the platform's. A whole number may be a mere line number (`toxitrace predict` numbers texts
    without id): it is the platform's only if that item has this very text. Texts without id are named by their hash.

    Args:
        paths: .jsonl (also .gz, .xz) or .txt.
        detector: scores and marks what is not scored or marked yet.
        texts: the platform's, by id.
        note: told of lines that hold no item, of repeated ids and of broken characters; reading goes on.

    Raises:
        ConfigError: a file is of another kind.
        DataError: a file cannot be read.
    """
    rows: dict[str, _Row] = {}
    for path in paths:
        for place, row in _rows(path, texts, note):
            before = rows.setdefault(row.id, row)
            if before is not row:
                same = "the same text" if before.text == row.text else "another text, the first stays"
                note("duplicate_id", row.id, f"{place}: this id came before with {same}")
    return _marked(list(rows.values()), detector)


def hold_nothing(paths: Iterable[str | os.PathLike[str]]) -> bool:
    """Whether all the files are empty, or hold empty lines alone."""
    return not any(line.strip() for path in paths for _, line in iter_lines(path))


def _rows(path: str | os.PathLike[str], texts: Mapping[str, str], note: Note) -> Iterator[tuple[str, _Row]]:
    kind = plain_suffix(path)
    if kind not in (".jsonl", ".txt"):
        raise ConfigError(
            f"--flagged {path} is no .jsonl or .txt; expected predictions or texts: let `toxitrace predict` score it"
        )
    for number, line in iter_lines(path):
        place = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            raw = {"text": line.rstrip("\r\n")} if kind == ".txt" else parse_json_row(line, place)
            row = _row(raw, place, texts)
        except DataError as error:
            note("bad_line", place, storable(str(error)))
            continue
        if row.text != raw["text"]:
            note("broken_text", row.id, f"{place}: lone surrogates stand as U+FFFD")
        yield place, row


def _row(row: dict[str, Any], place: str, texts: Mapping[str, str]) -> _Row:
    text = storable(parse_text(row.get("text"), place))
    name = next((name for name in ("label", "toxic") if row.get(name) is not None), None)
    toxic = None if name is None else bool(parse_label(row[name], place, name))
    marked = row.get("spans") or []
    if not isinstance(marked, list):
        raise DataError(f"{place}: spans is {type(marked).__name__}; expected a list: correct the row")
    spans = parse_offsets(
        [[span.get("start"), span.get("end")] if isinstance(span, dict) else span for span in marked], place
    )
    if spans and spans[-1][1] > len(text):
        raise DataError(f"{place}: span {list(spans[-1])} does not fit a text of {len(text)} characters: correct it")
    return _Row(_id(row.get("id"), text, texts), text, toxic, spans)


def _id(value: Any, text: str, texts: Mapping[str, str]) -> str:
    if isinstance(value, str) and value.strip():
        return storable(value)
    if isinstance(value, int) and not isinstance(value, bool) and texts.get(str(value)) == text:
        return str(value)
    return hash_id(text)


def _marked(rows: Sequence[_Row], detector: Scorer) -> list[SeedItem]:
    unknown = [row for row in rows if row.toxic is None]
    toxic = {row.id: _offsets(found) for row, found in _predicted(unknown, detector) if found.toxic}
    bare = [row for row in rows if row.toxic and not row.spans]
    toxic |= {row.id: _offsets(found) for row, found in _predicted(bare, detector, force_spans=True)}
    return [
        SeedItem(row.id, row.text, row.spans or toxic.get(row.id, ()))
        for row in rows
        if row.toxic or (row.toxic is None and row.id in toxic)
    ]


def _predicted(
    rows: Sequence[_Row], detector: Scorer, *, force_spans: bool = False
) -> Iterator[tuple[_Row, Prediction]]:
    for start in range(0, len(rows), _GROUP):
        part = rows[start : start + _GROUP]
        yield from zip(part, detector.predict([row.text for row in part], force_spans=force_spans), strict=True)


def _offsets(prediction: Prediction) -> Offsets:
    return merge_offsets([(span.start, span.end) for span in prediction.spans])
