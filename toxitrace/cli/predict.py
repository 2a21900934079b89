"""``toxitrace predict``: score texts and mark their toxic words."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from toxitrace.errors import ConfigError, DataError

if TYPE_CHECKING:
    from toxitrace.detector.bulk import Counts
    from toxitrace.detector.records import BadLine, Record
    from toxitrace.report.formats import OutputFormat

STDIN = "-"


def build_parser() -> ArgumentParser:
    """The command's options."""
    parser = ArgumentParser(
        prog="toxitrace predict",
        description="Score texts and mark their toxic words: one JSON line per text, in input order. Bad lines of "
        "an input file are reported, copied to FILE.rejected, and make the exit code 1.",
    )
    parser.add_argument("texts", nargs="*", default=[], metavar="TEXT", help="texts to score")
    parser.add_argument("--input", metavar="FILE", help=".txt (a text per line), .csv or .jsonl; - reads stdin")
    parser.add_argument("--input-format", choices=("txt", "csv", "jsonl"), help="if the file's name does not tell")
    parser.add_argument("--text-column", default="text", help="column or key that holds the text")
    parser.add_argument("--output", metavar="FILE", help="where results go instead of stdout")
    parser.add_argument("--format", choices=("jsonl", "text", "html"), default="jsonl", help="form of the results")
    parser.add_argument("--model", metavar="DIR", help="model folder, export folder or hub name; else the default")
    parser.add_argument("--threshold", type=float, help="probability from which a text is toxic; else the model's")
    parser.add_argument("--force-spans", action="store_true", help="mark suspicious words of clean texts too")
    parser.add_argument("--resume", action="store_true", help="go on with the --output of an interrupted run")
    parser.add_argument("--backend", choices=("auto", "onnx", "torch"), default="auto", help="what runs the model")
    parser.add_argument("--threads", type=int, help="CPU threads; else all")
    return parser


def run(config: Any) -> int:
    """Score everything; 1 if a line of the input was bad, else 0."""
    _check_usage(config)
    from toxitrace.detector.bulk import Counts
    from toxitrace.detector.loading import choose_backend, find_model, fingerprint, load
    from toxitrace.detector.resume import check_note, note_path, skip_done, write_note

    output = Path(config.output) if config.output else None
    counts = Counts()
    with contextlib.ExitStack() as stack:
        items, progress_fraction = _open_input(config, stack)
        folder = find_model(config.model)
        detector = load(folder, backend=config.backend, threshold=config.threshold, threads=config.threads)
        on_bad = stack.enter_context(_Rejects(config.input, output)).add
        note = output if output and config.input and config.format == "jsonl" and _is_ordinary(output) else None
        settings = {}
        if note:
            settings = {
                "model": fingerprint(folder),
                "backend": choose_backend(folder, config.backend),
                "threshold": detector.threshold,
                "force_spans": config.force_spans,
                "text_column": config.text_column,
            }
        resumed = bool(config.resume and note and note.exists())
        if note and resumed:
            check_note(note, settings)
            items = skip_done(note, items, counts, on_bad)
        if note:
            write_note(note, settings)
        sink: IO[bytes] = sys.stdout.buffer
        if output:
            sink = stack.enter_context(open(output, "ab" if resumed else "wb"))
        _write_all(config, items, detector, counts, on_bad, sink, progress_fraction)
    if note:
        note_path(note).unlink(missing_ok=True)
    if config.input:
        sys.stderr.write(_summary(counts))
    return 1 if counts.n_bad else 0


def _write_all(
    config: Any,
    items: Iterator[Record | BadLine],
    detector: Any,
    counts: Counts,
    on_bad: Callable[[BadLine], None],
    sink: IO[bytes],
    fraction: Callable[[], float | None],
) -> None:
    from toxitrace.detector.bulk import score_records
    from toxitrace.report.formats import output_format
    from toxitrace.report.progress import progress_on

    form: OutputFormat = output_format(config.format, color=not config.output and sys.stdout.isatty())
    done_before = counts.n_texts

    def predict(texts: Any) -> Any:
        return detector.predict(texts, force_spans=config.force_spans)

    sink.write(form.head("toxitrace").encode())
    # A bar that redraws itself on the screen on which the results appear would tear them apart.
    progress = progress_on() if config.input and (config.output or not sys.stdout.isatty()) else None
    with contextlib.closing(progress) if progress else contextlib.nullcontext():
        for chunk in score_records(items, predict, counts, on_bad):
            sink.write("".join(form.row(record.id, prediction) for record, prediction in chunk).encode())
            sink.flush()
            if progress:
                progress.update(counts.n_texts - done_before, fraction())
    sink.write(form.tail(counts.n_texts, counts.n_toxic, counts.n_bad).encode())
    sink.flush()


def _check_usage(config: Any) -> None:
    if bool(config.texts) == bool(config.input):
        raise ConfigError("give texts, or a file with --input (not both); see toxitrace predict --help")
    if config.resume and not (config.output and config.input and config.input != STDIN):
        raise ConfigError("--resume goes on with a file: give --input FILE and --output FILE")
    if config.resume and config.format != "jsonl":
        raise ConfigError(f"--resume can go on with --format jsonl only, not {config.format}")
    if not config.output:
        return
    output = Path(config.output)
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise ConfigError(f"--output {output} is a folder, or in a folder that does not exist; name a file")
    if config.input and config.input != STDIN:
        taken = (Path(config.input), Path(config.input + ".rejected"))
        if output.resolve() in (path.resolve() for path in taken):
            raise ConfigError(f"--output {output} is the input or its .rejected file; name another file")


def _open_input(
    config: Any, stack: contextlib.ExitStack
) -> tuple[Iterator[Record | BadLine], Callable[[], float | None]]:
    """Records of the run, and how much of them has been read."""
    from toxitrace.detector.records import READERS, Record

    if not config.input:
        return iter([Record(index, text, index + 1) for index, text in enumerate(config.texts)]), lambda: None
    kind = config.input_format or ("txt" if config.input == STDIN else Path(config.input).suffix.lower()[1:])
    if kind not in READERS:
        raise ConfigError(
            f"--input {config.input}: expected a name that ends in .txt, .csv or .jsonl; "
            "say what it is with --input-format"
        )
    if config.input == STDIN:
        return _begun(READERS[kind](sys.stdin.buffer, config.text_column), "<stdin>"), lambda: None
    try:
        file = stack.enter_context(open(config.input, "rb"))  # noqa: SIM115 - ruff misses a stack that is a parameter
    except OSError as error:
        raise DataError(f"{config.input} cannot be read: {error.strerror}") from error
    size = os.fstat(file.fileno()).st_size
    return _begun(READERS[kind](file, config.text_column), config.input), lambda: file.tell() / size if size else None


def _begun(items: Iterator[Record | BadLine], name: str) -> Iterator[Record | BadLine]:
    """Read the first record now: a header without the text column must show before an older output is touched."""
    try:
        first = list(itertools.islice(items, 1))
    except DataError as error:
        raise DataError(f"{name}:1: {error}") from None
    return itertools.chain(first, items)


class _Rejects:
    """Reports bad lines on stderr and keeps their bytes in ``INPUT.rejected`` (for stdin: ``OUTPUT.rejected``)."""

    def __init__(self, source: str | None, output: Path | None) -> None:
        base = str(output) if source == STDIN and output else source
        self._name = "<stdin>" if source == STDIN else str(source)
        self._path = Path(base + ".rejected") if base and base != STDIN else None
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _Rejects:
        if self._path:
            self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._file:
            self._file.close()

    def add(self, bad: BadLine) -> None:
        sys.stderr.write(f"{self._name}:{bad.line}: {bad.reason}\n")
        if self._path and not self._file:
            try:
                self._file = self._path.open("wb")
            except OSError as error:  # a read-only folder is no reason to leave the rest of the input unscored
                sys.stderr.write(f"{self._path} cannot be written ({error.strerror}): bad lines are only reported\n")
                self._path = None
        if self._file:
            self._file.write(bad.raw if bad.raw.endswith(b"\n") else bad.raw + b"\n")
            self._file.flush()


def _is_ordinary(path: Path) -> bool:
    return not path.exists() or stat.S_ISREG(path.stat().st_mode)


def _summary(counts: Counts) -> str:
    notes = f", {counts.n_truncated} truncated" if counts.n_truncated else ""
    notes += f", {counts.n_bad} bad lines" if counts.n_bad else ""
    return f"{counts.n_texts} texts, {counts.n_toxic} toxic{notes}\n"
