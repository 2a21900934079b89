"""CSV and TSV files with a header line."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence

from toxitrace.data.fields import build_example, collect, optional_str, parse_id, parse_label, parse_text
from toxitrace.data.lines import iter_lines, plain_suffix
from toxitrace.data.records import Example
from toxitrace.errors import DataError

# The csv module's default of 131,072 characters per cell rejects long posts. 2**31 - 1 fits a C long everywhere.
_CELL_LIMIT = 2**31 - 1


def read_header(path: str | os.PathLike[str]) -> list[str]:
    """The column names of a CSV file, blanks and NULs around them removed.

    Raises:
        DataError: the file cannot be read, or is empty.
    """
    return next(_cells(path))[1]


def iter_csv_rows(
    path: str | os.PathLike[str], columns: Sequence[str] = ()
) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Yield ``(line where the row starts, row number from 0, cells by column)``; blank lines are no rows.

    UTF-8 with or without BOM; ``.tsv`` splits at tabs; quoted cells may hold line breaks and be of any length.
    NUL characters stay in the cells, since dropping them would shift offsets.

    Args:
        columns: names that must be there, each once.

    Raises:
        DataError: the file cannot be read, a column is missing, or a row is malformed.
    """
    rows = _cells(path)
    _, header = next(rows)
    for name in columns:
        if header.count(name) != 1:
            found = "twice" if name in header else "not there"
            raise DataError(
                f"{path}:1: column {name!r} is {found}; the columns are {', '.join(map(repr, header))}: "
                "name one of these or correct the header"
            )
    for number, (line, cells) in enumerate(rows):
        if len(cells) != len(header):
            raise DataError(
                f"{path}:{line}: the row has {len(cells)} cells; expected {len(header)} as in the header: "
                "quote cells that hold commas, quotes or line breaks"
            )
        yield line, number, dict(zip(header, cells, strict=True))


def read_csv(
    path: str | os.PathLike[str],
    *,
    text_column: str = "text",
    label_column: str = "label",
    id_column: str | None = None,
    topic_column: str | None = None,
    require_label: bool = True,
) -> list[Example]:
    """Read any CSV or TSV file with a text column and, mostly, a label column.

    Args:
        id_column: None = the column ``id`` if there is one, else the row number from 0.
        topic_column: None = the column ``topic`` if there is one.
        require_label: data to train or evaluate on, where a missing label or a blank text is an error.

    Raises:
        DataError: the file, a column or a row is unusable.
    """
    header = read_header(path)
    has_label = require_label or label_column in header
    needed = [text_column, *([label_column] if has_label else []), *filter(None, (id_column, topic_column))]
    id_column = id_column or ("id" if "id" in header else None)
    topic_column = topic_column or ("topic" if "topic" in header else None)

    def rows() -> Iterator[tuple[str, Example]]:
        for line, number, row in iter_csv_rows(path, needed):
            place = f"{path}:{line}"
            unlabelled = not has_label or (not require_label and not row[label_column].strip())
            yield (
                place,
                build_example(
                    place,
                    id=parse_id(row[id_column].strip().strip("\0") if id_column else None, number, place),
                    text=parse_text(row[text_column], place, allow_blank=not require_label),
                    label=None if unlabelled else parse_label(row[label_column], place, label_column),
                    topic=optional_str(row[topic_column]) if topic_column else None,
                ),
            )

    return collect(rows(), path)


def _cells(path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """The header, then every row, each with the line (from 1) on which it starts."""
    csv.field_size_limit(_CELL_LIMIT)
    # strict: without it a quote that is never closed swallows the rest of the file as one cell
    reader = csv.reader(
        (line for _, line in iter_lines(path)),
        delimiter="\t" if plain_suffix(path) == ".tsv" else ",",
        strict=True,
    )
    start, header_seen = 1, False
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise DataError(
                f"{path}:{start}: no valid CSV from here ({error}); expected quotes inside quoted cells to be "
                "doubled and every quote closed: correct the row"
            ) from None
        if cells:
            yield start, cells if header_seen else [name.strip().strip("\0") for name in cells]
            header_seen = True
        start = reader.line_num + 1
    if not header_seen:
        raise DataError(f"{path} is empty; expected a header line and rows: check that it is the right file")
