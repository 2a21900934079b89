"""Go on with an output file that a killed run left behind: nothing lost, nothing twice.

The output itself says how far the run came: its lines are matched with the input's records by id and text, and
what follows the last complete chunk is cut off and scored again. Beside it lies ``OUTPUT.progress`` with what the
lines cannot say, the model and settings they were made with; it goes when the run ends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from toxitrace.detector.bulk import ChunkRule, Counts
from toxitrace.detector.records import BadLine, Record
from toxitrace.errors import ConfigError, DataError
from toxitrace.types import Prediction


def note_path(output: Path) -> Path:
    """Where a run on ``output`` notes its settings."""
    return output.with_name(output.name + ".progress")


def write_note(output: Path, settings: dict[str, Any]) -> None:
    """Note the settings of a run that begins, in one piece or not at all."""
    part = note_path(output).with_name(note_path(output).name + ".part")
    part.write_text(json.dumps(settings, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, note_path(output))


def check_note(output: Path, settings: dict[str, Any]) -> bool:
    """Refuse to mix two runs in one file; false if there is no note (the run was finished, or it was removed).

    Raises:
        ConfigError: the interrupted run had another model or other settings.
    """
    try:
        noted = json.loads(note_path(output).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError:
        noted = {}
    changed = [key for key in settings if not isinstance(noted, dict) or noted.get(key) != settings[key]]
    if changed:
        raise ConfigError(
            f"{output} was begun with another {', '.join(changed)}; "
            "go on with what it was begun with, or leave --resume out to start again"
        )
    return True


def skip_done(
    output: Path, items: Iterator[Record | BadLine], counts: Counts, on_bad: Callable[[BadLine], None]
) -> Iterator[Record | BadLine]:
    """Match an output with the input, cut it after its last complete chunk, and return what is left to do.

    An output that answers the whole input is left as it is, and nothing comes back.

    Args:
        output: JSON lines of the interrupted run; shortened in place.
        items: the input from its beginning.
        counts: gets the records and bad lines that are passed.
        on_bad: called for every bad line that is passed.

    Raises:
        DataError: the output does not belong to this input.
    """
    rule, safe_bytes, position = ChunkRule(), 0, 0
    pending: list[Record] = []  # records of the chunk that was under way
    pending_predictions: list[Prediction] = []
    torn = False
    with open(output, "r+b") as file:
        for number, line in enumerate(file, start=1):
            row = _parse(line)
            if row is None:
                if file.read(1):
                    raise DataError(f"{output}:{number} is no answer of toxitrace; leave --resume out to start again")
                torn = True
                break
            record = _next_record(items, counts, on_bad)
            if record is None or row.get("id") != record.id or row.get("text") != record.text:
                raise DataError(
                    f"{output}:{number} does not answer the input's next text; "
                    "the input or the output was changed: leave --resume out to start again"
                )
            position += len(line)
            pending.append(record)
            pending_predictions.append(Prediction.from_dict(row))
            if rule.closes_with(record):
                counts.add(pending_predictions)
                safe_bytes = position
                pending, pending_predictions = [], []
        following = None if torn else _next_record(items, counts, on_bad)
        if not torn and following is None:
            counts.add(pending_predictions)
            return iter(())
        file.truncate(safe_bytes)
    return chain(pending, [following] if following else [], items)


def _next_record(items: Iterator[Record | BadLine], counts: Counts, on_bad: Callable[[BadLine], None]) -> Record | None:
    for item in items:
        if isinstance(item, Record):
            return item
        counts.n_bad += 1
        on_bad(item)
    return None


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
        Prediction.from_dict(row)
    except (ValueError, KeyError, TypeError):
        return None
    return row if isinstance(row, dict) else None
