"""Whole annotation runs: files in, files out, resumable, with a report of how every row ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from toxitrace.annotate.asking import LLMOptions, Session, session
from toxitrace.annotate.clues import Clued, Which, find_clues
from toxitrace.annotate.journal import Journal, begin_meta
from toxitrace.annotate.lock import only_run
from toxitrace.annotate.offline import MODEL, mine_lexicon
from toxitrace.annotate.prompts import ARCL_VERSIONS, CUSA_VERSION
from toxitrace.annotate.rationale_rows import llm_rationale_rows, recorded_rationale_rows
from toxitrace.annotate.rows import RationaleRow, SpanRow, Stopped, text_hash
from toxitrace.annotate.running import Run, RunReport, spent_before
from toxitrace.annotate.span_rows import llm_span_rows, offline_span_rows, recorded_span_rows
from toxitrace.annotate.verify import verify_argument, verify_spans
from toxitrace.data import Example, read_examples, read_rationales, read_spans
from toxitrace.errors import ConfigError, DataError

Refiner = Literal["llm", "offline"]


def annotate_spans(
    texts: Iterable[str],
    output: Path,
    *,
    model: str | None,
    options: LLMOptions,
    refiner: Refiner = "llm",
    which: Which = "toxic",
    only: Container[str] | None = None,
    resume: bool = False,
) -> RunReport:
    """Detector -> clues -> refined spans, written to ``output`` in the order of the texts (methods.md 1.1, step 2).

    Args:
        texts: files of labelled texts.
        output: gets ``{"id", "spans", "clues", "source", "model", "outcome"}`` rows.
        model: folder of the warmed-up detector; None takes the shipped model.
        options: the language model, or the recording that stands for it.
        refiner: ``offline`` needs no language model; a substitute, see `toxitrace.annotate.offline`.
        which: see `find_clues`.
        only: ids to annotate; None: all. The offline refiner learns from the other texts all the same.
        resume: go on with what an earlier run left; rows that failed are asked again.

    Raises:
        ConfigError, DataError, ModelError: before anything is asked; another run on the same output is one.
    """
    _require_refiner(options, refiner)
    files = list(texts)
    everything = read_all(files)
    examples = _only(everything, only)
    from toxitrace.detector.loading import find_model, fingerprint, load

    folder = find_model(model)
    by_llm = refiner == "llm" and options.recording is None
    settings = {
        "command": "annotate spans",
        "refiner": MODEL if refiner == "offline" else options.llm,
        "prompt": CUSA_VERSION if by_llm else None,
        "thinking_tokens": options.thinking_tokens,
        "rows": which,
        "detector_sha256": fingerprint(folder),
    }
    chosen = [example.id for example in examples if which != "toxic" or example.label != 0]
    run = Run(output, files, settings, chosen)
    notes = read_spans(options.recording) if options.recording else {}
    if options.recording and chosen and notes.keys().isdisjoint(chosen):
        raise DataError(f"{options.recording}: none of its {len(notes)} ids is among the texts: name its texts")
    lexicon = mine_lexicon(everything) if refiner == "offline" else {}
    with contextlib.ExitStack() as stack:
        asked, journal = _begun(
            stack, run, output, settings, examples, options if by_llm else None, verify_spans, resume=resume
        )
        clued: Iterator[Clued] = iter(())
        if not journal.done.issuperset(chosen):  # loading a model takes its time
            clued = run.until_stopped(find_clues(load(folder), examples, which, journal.done))
        if asked:
            rows: Iterable[SpanRow | Stopped] = llm_span_rows(clued, asked.answers, asked.client.model)
        elif options.recording:
            rows = recorded_span_rows(clued, notes, options.recording)
        else:
            rows = offline_span_rows(clued, lexicon)
        run.take(rows, journal, asked)
        if n_missing := journal.outcomes["missing"]:
            n_rows = journal.outcomes.total()
            run.remarks.append(f"{n_missing} of {n_rows} texts are not in the recording: their clues stand in")
        return run.report(journal, asked)


def annotate_rationales(
    texts: Iterable[str],
    output: Path,
    *,
    options: LLMOptions,
    only: Container[str] | None = None,
    resume: bool = False,
) -> RunReport:
    """Have both sides of every text argued (methods.md 1.6); texts without two usable arguments go to
    ``OUTPUT.rejected``, with the reason.

    Args:
        texts: files of texts; labels play no part.
        output: gets ``{"id", "toxic", "non_toxic", "source", "model", "outcome"}`` rows.
        options: the language model, or the recording that stands for it: then only its texts are done.
        only: ids to annotate; None: all.
        resume: go on with what an earlier run left; rows that failed are asked again.

    Raises:
        ConfigError, DataError: before anything is asked; another run on the same output is one.
    """
    _require_refiner(options, "llm")
    files = list(texts)
    examples = _only(read_all(files), only)
    settings = {
        "command": "annotate rationales",
        "refiner": options.llm,
        "prompt": None if options.recording else list(ARCL_VERSIONS.values()),
        "thinking_tokens": options.thinking_tokens,
    }
    notes = read_rationales(options.recording) if options.recording else {}
    n_texts = len(examples)
    if options.recording:
        examples = [example for example in examples if example.id in notes]
        if not examples:
            raise DataError(f"{options.recording}: none of its {len(notes)} ids is among the texts: name its texts")
    ids = [example.id for example in examples]
    run = Run(output, files, settings, ids)
    if len(ids) < n_texts:
        run.remarks.append(f"{n_texts - len(ids)} of {n_texts} texts are not in the recording: they are left out")
    with contextlib.ExitStack() as stack:
        service = None if options.recording else options
        asked, journal = _begun(
            stack, run, output, settings, examples, service, verify_argument, resume=resume, rejects=True
        )
        unanswered = run.until_stopped(example for example in examples if example.id not in journal.done)
        if asked:
            rows: Iterable[RationaleRow | Stopped] = llm_rationale_rows(unanswered, asked.answers, asked.client.model)
        else:
            rows = recorded_rationale_rows(unanswered, notes, options.recording or "")
        run.take(rows, journal, asked)
        return run.report(journal, asked)


def _begun(
    stack: contextlib.ExitStack,
    run: Run,
    output: Path,
    settings: dict[str, Any],
    examples: list[Example],
    options: LLMOptions | None,
    check: Callable[[str, str], object],
    *,
    resume: bool,
    rejects: bool = False,
) -> tuple[Session | None, Journal]:
    """Lock, service, settings and journal, in this order: whatever is wrong shows before anything is written."""
    stack.enter_context(only_run(output))
    before = spent_before(output, resume=resume)
    asked = stack.enter_context(session(options, output, check, before)) if options else None
    begin_meta(output, settings, resume=resume)
    hashes = {example.id: text_hash(example.text) for example in examples}
    journal = stack.enter_context(Journal(output, list(hashes), resume=resume, rejects=rejects, hashes=hashes))
    if journal.stale:
        run.remarks.append(
            f"{len(journal.stale)} texts have changed since their rows were written: those rows are made anew"
        )
    if asked:
        run.keep_spending(asked)
    return asked, journal


def clued_examples(texts: Iterable[str], model: str | None, which: Which) -> Iterator[Clued]:
    """The texts that `annotate_spans` would ask about, with their clues: for an estimate beforehand."""
    from toxitrace.detector.loading import load

    return find_clues(load(model), read_all(texts), which)


def read_all(texts: Iterable[str]) -> list[Example]:
    """Examples of several files; labels may be missing.

    Raises:
        ConfigError: no file is named.
        DataError: a file is unusable, or two files share an id.
    """
    examples: list[Example] = []
    seen: dict[str, str] = {}
    for path in texts:
        for example in read_examples(path, require_label=False):
            if example.id in seen:
                raise DataError(
                    f"{path}: id {example.id!r} was already used in {seen[example.id]}; ids must be unique across files"
                )
            seen[example.id] = path
            examples.append(example)
    if not examples:
        raise ConfigError("there is nothing to annotate; name files with --texts FILE")
    return examples


def _only(examples: list[Example], ids: Container[str] | None) -> list[Example]:
    return examples if ids is None else [example for example in examples if example.id in ids]


def _require_refiner(options: LLMOptions, refiner: Refiner) -> None:
    if refiner == "offline" and options.llm:
        raise ConfigError("--refiner offline asks no language model; leave --llm out, or the refiner")
    if refiner == "llm" and not options.llm:
        raise ConfigError(
            "nobody is named to refine the clues; expected --llm gemini:MODEL, openai:MODEL or recorded:FILE, or "
            "--refiner offline"
        )
