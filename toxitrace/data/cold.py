"""COLD, the Chinese Offensive Language Dataset (thu-coai/COLDataset, Apache-2.0; Deng et al., EMNLP 2022).

Layout as seen in the repository's ``COLDataset/{train,dev,test}.csv``: UTF-8 with BOM, a first column without name,
``split, topic, label``, in the test part ``fine-grained-label``, and ``TEXT``. Labels of train and dev are
semi-automatic, those of test are the experts'. The fine codes are the ones of the repository's README.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from toxitrace.data.csvfile import iter_csv_rows
from toxitrace.data.fields import build_example, collect, optional_str, parse_label, parse_text
from toxitrace.data.records import Example
from toxitrace.errors import DataError

COLUMNS = ("split", "topic", "label", "TEXT")
FINE_COLUMN = "fine-grained-label"
FINE_NAMES = {"0": "other_non_offensive", "1": "attack_individual", "2": "attack_group", "3": "anti_bias"}


def read_cold(path: str | os.PathLike[str]) -> list[Example]:
    """Read one published part of COLD, ids being ``train-0`` and so on: split and row number from 0.

    These ids are the ones that the annotations shipped with toxitrace join on; blanks around a text are dropped, as
    the offsets expect. The published parts hold a few repeated texts: see `drop_duplicate_texts`.

    Raises:
        DataError: the file is unusable or not in COLD's layout.
    """
    return collect(_rows(path), path)


def _rows(path: str | os.PathLike[str]) -> Iterator[tuple[str, Example]]:
    for line, number, row in iter_csv_rows(path, COLUMNS):
        place = f"{path}:{line}"
        code = row.get(FINE_COLUMN, "").strip()
        if code and code not in FINE_NAMES:
            raise DataError(
                f"{place}: {FINE_COLUMN} is {code!r}; expected one of {', '.join(FINE_NAMES)}: correct the row"
            )
        split = row["split"].strip()
        if not split:
            raise DataError(f"{place}: split is empty; expected train, dev or test: correct the row")
        yield (
            place,
            build_example(
                place,
                id=f"{split}-{number}",
                text=parse_text(row["TEXT"], place).strip(),
                label=parse_label(row["label"], place),
                topic=optional_str(row["topic"]),
                fine=FINE_NAMES.get(code),
            ),
        )
