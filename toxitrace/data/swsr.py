"""SWSR, Sina Weibo Sexism Review (aggiejiang/SWSR, MIT; Jiang et al., 2022): comments on gender.

Layout as seen in the repository's ``SexComment.csv`` and its README: ``index, weibo_id, comment_text, gender,
location, like, date, label, category, target``. Categories: SA stereotype on appearance, SCB stereotype on culture
and behaviour, MA microaggression, SO sexual offence; empty for comments that are not sexist.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from toxitrace.data.csvfile import iter_csv_rows
from toxitrace.data.fields import build_example, collect, optional_str, parse_label, parse_text
from toxitrace.data.records import Example

COLUMNS = ("comment_text", "label", "category")


def read_swsr(path: str | os.PathLike[str]) -> list[Example]:
    """Read ``SexComment.csv``; ids are ``swsr-0`` and so on by row number, ``fine`` is the category.

    These ids are the ones that ``builtin:swsr-spans`` joins on; blanks around a text are dropped, as its offsets
    expect.

    Raises:
        DataError: the file is unusable or not in SWSR's layout.
    """
    return collect(_rows(path), path)


def _rows(path: str | os.PathLike[str]) -> Iterator[tuple[str, Example]]:
    for line, number, row in iter_csv_rows(path, COLUMNS):
        place = f"{path}:{line}"
        yield (
            place,
            build_example(
                place,
                id=f"swsr-{number}",
                text=parse_text(row["comment_text"], place).strip(),
                label=parse_label(row["label"], place),
                topic="gender",
                fine=optional_str(row["category"]),
            ),
        )
