"""ToxiCN (DUT-lujunyu/ToxiCN, CC BY-NC-ND 4.0; Lu et al., ACL 2023): posts of Zhihu and Tieba.

Layout as seen in the repository's ``ToxiCN_1.0.csv`` and its README: ``platform, topic, content, toxic, toxic_type,
expression, target, length`` with one-hot copies of the codes between them. The licence forbids commercial use and
derivatives: nothing that toxitrace ships is trained on it. CNTP and STATE-ToxiCN are taken from the same 12,011
posts, and their ids are ToxiCN's row numbers: do not train on one and report on another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from toxitrace.data.csvfile import iter_csv_rows
from toxitrace.data.fields import build_example, collect, optional_str, parse_label, parse_text
from toxitrace.data.records import Example
from toxitrace.errors import DataError

COLUMNS = ("topic", "content", "toxic", "toxic_type")
TYPE_NAMES = {"0": "non_toxic", "1": "offensive", "2": "hate"}


def read_toxicn(path: str | os.PathLike[str]) -> list[Example]:
    """Read ``ToxiCN_1.0.csv``; ids are row numbers from 0, ``fine`` is the toxic type.

    Raises:
        DataError: the file is unusable or not in ToxiCN's layout.
    """
    return collect(_rows(path), path)


def _rows(path: str | os.PathLike[str]) -> Iterator[tuple[str, Example]]:
    for line, number, row in iter_csv_rows(path, COLUMNS):
        place = f"{path}:{line}"
        code = row["toxic_type"].strip()
        if code not in TYPE_NAMES:
            raise DataError(
                f"{place}: toxic_type is {code!r}; expected one of {', '.join(TYPE_NAMES)}: correct the row"
            )
        yield (
            place,
            build_example(
                place,
                id=str(number),
                text=parse_text(row["content"], place),
                label=parse_label(row["toxic"], place, "toxic"),
                topic=optional_str(row["topic"]),
                fine=TYPE_NAMES[code],
            ),
        )
