"""``toxitrace predict``: score texts and mark their toxic words."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from toxitrace.cli.rejects import STDIN, Rejects
from toxitrace.errors import ConfigError, DataError

if TYPE_CHECKING:
    from toxitrace.detector.bulk import Counts, Scored
    from toxitrace.detector.records import BadLine, Record

    Score = Callable[[Iterator[Sequence[Record]]], Iterator[Scored]]


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
    parser.add_argument(
        "--backend", choices=("auto", "onnx", "openvino", "torch"), default="auto", help="what runs the model"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that share a file's texts; same bytes out")
    parser.add_argument("--threads", type=int, help="CPU threads of a process; else all cores, shared by the workers")
    return parser


def run(config: Any) -> int:
    """Score everything; 1 if a line of the input was bad, else 0."""
    _check_usage(config)
    from toxitrace.detector.bulk import Counts
    from toxitrace.detector.job import ScoringJob
    from toxitrace.detector.loading import find_model
    from toxitrace.detector.resume import check_note, note_path, skip_done, write_note
    from toxitrace.detector.workers import scoring

    output = Path(config.output) if config.output else None
    counts = Counts()
    with contextlib.ExitStack() as stack:
        items, fraction = _open_input(config, stack)
        color = not output and sys.stdout.isatty()
        folder = find_model(config.model)
        job = ScoringJob(
            folder, config.backend, config.threshold, config.threads, config.force_spans, config.format, color
        )
        score = stack.enter_context(scoring(job, config.workers))
        rejects = stack.enter_context(Rejects(config.input, output))
        note = output if output and config.input and config.format == "jsonl" and _is_ordinary(output) else None
        settings = _noted_settings(config, folder) if note else {}
        resumed = bool(config.resume and note and note.exists())
        if note and resumed:
            noted = check_note(note, settings)
            items = _left_to_do(skip_done(note, items, counts, rejects.add), note, config.input, noted)
        if note:
            write_note(note, settings)
        sink: IO[bytes] = sys.stdout.buffer
        if output:
            sink = stack.enter_context(open(output, "ab" if resumed else "wb"))
        work = _Run(config, counts, rejects.add, fraction)
        work.write(items, score, sink)
    if note:
        note_path(note).unlink(missing_ok=True)
    if config.input:
        sys.stderr.write(work.summary(rejects.path))
    return 1 if counts.n_bad else 0


class _Run:
    """Takes items to the sink and keeps an eye on the time."""

    def __init__(
        self, config: Any, counts: Counts, on_bad: Callable[[BadLine], None], fraction: Callable[[], float | None]
    ) -> None:
        self._config, self._counts, self._on_bad, self._fraction = config, counts, on_bad, fraction
        self._n_before, self._seconds = counts.n_texts, 0.0

    def write(self, items: Iterator[Record | BadLine], score: Score, sink: IO[bytes]) -> None:
        from toxitrace.detector.bulk import cut_chunks
        from toxitrace.report.formats import output_format
        from toxitrace.report.progress import Begun, progress_on

        config, counts = self._config, self._counts
        form = output_format(config.format)
        begun = Begun(self._n_before, self._fraction() or 0.0) if self._n_before else None
        # Workers read ahead: the share that counts is that of the chunk which comes back.
        fractions: deque[float | None] = deque()

        def chunks() -> Iterator[Sequence[Record]]:
            for chunk in cut_chunks(items, counts, self._on_bad):
                fractions.append(self._fraction())
                yield chunk

        sink.write(form.head("toxitrace").encode())
        # A bar that redraws itself on the screen on which the results appear would tear them apart.
        progress = progress_on(begun=begun) if config.input and (config.output or not sys.stdout.isatty()) else None
        started = time.monotonic()
        with contextlib.closing(progress) if progress else contextlib.nullcontext():
            for scored in score(chunks()):
                sink.write(scored.rows)
                sink.flush()
                scored.count_into(counts)
                fraction = fractions.popleft()
                if progress:
                    progress.update(counts.n_texts - self._n_before, fraction, counts.n_bad)
        sink.write(form.tail(counts.n_texts, counts.n_toxic, counts.n_bad).encode())
        sink.flush()
        self._seconds = time.monotonic() - started

    def summary(self, rejected: Path | None) -> str:
        """What the run did, in a line."""
        from toxitrace.report.progress import duration

        counts = self._counts
        line = f"{counts.n_texts:,} texts, {counts.n_toxic:,} toxic"
        line += f", {counts.n_truncated:,} truncated" if counts.n_truncated else ""
        line += f", {counts.n_bad:,} bad lines" if counts.n_bad else ""
        line += f" (kept in {rejected})" if rejected else ""
        n_now = counts.n_texts - self._n_before
        if n_now:
            line += f"; {n_now:,} of them now" if self._n_before else ""
            line += f"; {duration(self._seconds)}, {n_now / max(self._seconds, 1e-9):,.0f} texts/s"
            line += f", {self._config.workers} workers" if self._config.workers > 1 else ""
        return line + "\n"


def _noted_settings(config: Any, folder: Path) -> dict[str, Any]:
    """What two runs must share to be one."""
    from toxitrace.detector.loading import choose_backend, fingerprint
    from toxitrace.settings import load_settings

    return {
        "model": fingerprint(folder),
        "backend": choose_backend(folder, config.backend),
        "threshold": load_settings(folder).threshold if config.threshold is None else config.threshold,
        "force_spans": config.force_spans,
        "text_column": config.text_column,
    }


def _left_to_do(
    items: Iterator[Record | BadLine], output: Path, source: str, noted: bool
) -> Iterator[Record | BadLine]:
    """Say it if an output has nothing left to do, or if nobody knows what it was made with."""
    first = next(items, None)
    if first is None:
        sys.stderr.write(f"{output} answers every text of {source} already: nothing to do\n")
        return iter(())
    if not noted and output.stat().st_size:
        sys.stderr.write(
            f"{output} was finished before {source} grew, or its note is gone: "
            "going on with the model and settings given now\n"
        )
    return itertools.chain([first], items)


def _check_usage(config: Any) -> None:
    if bool(config.texts) == bool(config.input):
        raise ConfigError("give texts, or a file with --input (not both); see toxitrace predict --help")
    if config.workers < 1 or (config.workers > 1 and not config.input):
        raise ConfigError(f"--workers is {config.workers}; expected 1, or more with --input FILE")
    if config.threads is not None and config.threads < 1:
        raise ConfigError(f"threads is {config.threads}; expected 1 or more")
    if config.threshold is not None and not 0.0 <= config.threshold <= 1.0:
        raise ConfigError(f"--threshold is {config.threshold}; expected a probability from 0 to 1")
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
        first_line = sys.stdin.buffer.readline()
        if first_line.startswith(b"{") and not config.input_format:
            raise ConfigError("stdin begins like JSON; say --input-format jsonl, or txt to score its lines as they are")
        lines = itertools.chain([first_line] if first_line else [], sys.stdin.buffer)
        return _begun(READERS[kind](lines, config.text_column), "<stdin>"), lambda: None
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


def _is_ordinary(path: Path) -> bool:
    return not path.exists() or stat.S_ISREG(path.stat().st_mode)
