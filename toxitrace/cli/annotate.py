"""``toxitrace annotate``: weak spans and rationales from a language model, compared and trained on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from toxitrace.cli import annotate_compare, annotate_loop
from toxitrace.cli.tasks import Task, run_task, tasks_parser
from toxitrace.errors import ConfigError

if TYPE_CHECKING:
    from toxitrace.annotate.asking import LLMOptions
    from toxitrace.annotate.running import RunReport
    from toxitrace.llm.estimate import Estimate

_LLM_HELP = (
    "who answers: gemini:MODEL, openai:MODEL (any compatible server with --llm-url), recorded:FILE (annotations "
    "joined by id; recorded:builtin:cold-spans is shipped) or replay:FILE. Keys: GEMINI_API_KEY, OPENAI_API_KEY"
)


def build_parser() -> ArgumentParser:
    """The command's options."""
    return tasks_parser(
        "annotate",
        "Weak spans and rationales for training texts. Texts are sent to the language model that --llm names; nothing "
        "is asked or paid twice, a run that was stopped goes on with --resume.",
        _TASKS,
    )


def run(config: Any) -> int:
    """Run one task; 1 if it ended before its texts did, or some failed."""
    return run_task(config, "annotate", _TASKS)


def _spans_parser() -> ArgumentParser:
    parser = _parser(
        "spans",
        "Saliency of a warmed-up detector -> clues -> spans refined by a language model, one JSON line for each "
        "chosen text, in the order of the texts. A row says who decided on its spans and how the question ended; "
        "where no usable answer could be had, the clues stand in and the row says so.",
    )
    parser.add_argument("--model", metavar="DIR", help="the warmed-up detector; else the default model")
    parser.add_argument(
        "--refiner",
        choices=("llm", "offline"),
        default="llm",
        help="offline: no language model, but a substitute from word boundaries and class statistics of the texts",
    )
    parser.add_argument(
        "--rows",
        choices=("toxic", "flagged", "all"),
        default="toxic",
        help="texts labelled toxic (and unlabelled ones the detector flags), those and all it flags, or every text",
    )
    _add_llm_flags(parser)
    return parser


def _rationales_parser() -> ArgumentParser:
    parser = _parser(
        "rationales",
        "The best argument that a text is toxic and the best that it is not, for ARCL; two requests per text. Texts "
        "without two usable arguments go to OUTPUT.rejected, with the reason.",
    )
    _add_llm_flags(parser)
    return parser


def _spans(config: Any) -> int:
    from toxitrace.annotate import runs

    output, options = _output(config), _llm_options(config)
    if config.dry_run:
        from toxitrace.annotate.dry_run import estimate_run, span_requests

        _require_service(options)
        clued = runs.clued_examples(config.texts, config.model, config.rows)
        return _show(estimate_run(span_requests(clued), options, output), options)
    report = runs.annotate_spans(
        config.texts,
        output,
        model=config.model,
        options=options,
        refiner=config.refiner,
        which=config.rows,
        resume=config.resume,
    )
    nothing = {
        "toxic": "no text is labelled toxic, and none without a label is flagged",
        "flagged": "no text is labelled toxic or flagged",
    }.get(config.rows, "no text is there")
    return _end(report, f"{nothing} by {config.model or 'the default model'}: nothing to annotate")


def _rationales(config: Any) -> int:
    from toxitrace.annotate import runs

    output, options = _output(config), _llm_options(config)
    if config.dry_run:
        from toxitrace.annotate.dry_run import estimate_run, rationale_requests

        _require_service(options)
        return _show(estimate_run(rationale_requests(runs.read_all(config.texts)), options, output), options)
    return _end(runs.annotate_rationales(config.texts, output, options=options, resume=config.resume))


_TASKS = {
    "spans": Task(_spans_parser, "refine a detector's clues into weak spans", _spans),
    "rationales": Task(_rationales_parser, "have both sides of every text argued", _rationales),
    "compare": Task(annotate_compare.build_parser, "how two span files agree", annotate_compare.run),
    "loop": Task(annotate_loop.build_parser, "warm-up, annotation and joint training in one go", annotate_loop.run),
}


def _parser(name: str, description: str) -> ArgumentParser:
    parser = ArgumentParser(prog=f"toxitrace annotate {name}", description=description)
    parser.add_argument("--texts", nargs="+", default=[], metavar="FILE", help="labelled texts: .jsonl, .csv, ...")
    parser.add_argument("--output", metavar="FILE", help="JSON lines; FILE.meta.json says how they were made")
    parser.add_argument("--resume", action="store_true", help="go on with an earlier run; what failed is asked again")
    parser.add_argument("--dry-run", action="store_true", help="only estimate requests, tokens and cost")
    return parser


def _add_llm_flags(parser: ArgumentParser) -> None:
    def add(flag: str, metavar: str, help: str, **options: Any) -> None:
        parser.add_argument(flag, metavar=metavar, help=help, **options)

    add("--llm", "KIND:NAME", _LLM_HELP)
    add("--llm-url", "URL", "another server, e.g. http://localhost:8000/v1")
    add("--concurrency", "N", "requests at the same time", type=int, default=8)
    add("--max-cost", "USD", "stop before more is spent, earlier sittings of the same output included", type=float)
    add("--max-requests", "N", "stop before more are sent, earlier sittings of the same output included", type=int)
    add("--price-in", "USD", "per million tokens of the questions, if not as listed", type=float)
    add("--price-out", "USD", "per million tokens of the answers", type=float)
    add("--thinking-tokens", "N", "most tokens of thinking per question; else as the service likes", type=int)
    add("--timeout-seconds", "S", "longest silence of the service", type=float, default=120.0)
    add("--cache", "FILE", "keeps every answer; else llm-cache.sqlite beside the output")


def _llm_options(config: Any) -> LLMOptions:
    import dataclasses

    from toxitrace.annotate.asking import LLMOptions

    return LLMOptions(**{field.name: config[field.name] for field in dataclasses.fields(LLMOptions)})


def _output(config: Any) -> Path:
    if not config.output:
        raise ConfigError("expected --output FILE, the file that receives the rows")
    output = Path(config.output)
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise ConfigError(f"--output {output} is a folder, or in a folder that does not exist; name a file")
    if output.resolve() in (Path(path).resolve() for path in config.texts):
        raise ConfigError(f"--output {output} is one of the texts; name another file")
    return output


def _require_service(options: LLMOptions) -> None:
    if not options.llm or options.recording:
        raise ConfigError("--dry-run estimates what a service would cost; expected --llm gemini:MODEL or openai:MODEL")


def _show(estimate: Estimate, options: LLMOptions) -> int:
    def usd(value: float | None) -> str:
        return "unknown (give --price-in and --price-out)" if value is None else f"{value:.2f}"

    rows = [
        ("requests (without the cache's answers)", f"{estimate.n_requests:,}"),
        ("tokens of questions", f"{estimate.prompt_tokens:,}"),
        ("tokens of answers, typical", f"{estimate.typical_output_tokens:,}"),
        ("tokens of answers, at most", f"{estimate.max_output_tokens:,}"),
        ("US dollars, typical", usd(estimate.typical_usd)),
        ("US dollars, at most", usd(estimate.max_usd)),
    ]
    from toxitrace.report.terminal import table

    sys.stdout.write(table(("estimate", ""), rows, title=options.llm, color=sys.stdout.isatty()) + "\n")
    return 0


def _end(report: RunReport, nothing: str = "nothing to annotate") -> int:
    """Say how it went; incomplete files make the exit code 1."""
    if not report.rows and report.complete:
        sys.stderr.write(f"{nothing}\n")
    sys.stderr.write(f"{report.output}: {', '.join(f'{n} {name}' for name, n in report.rows.items()) or 'no rows'}\n")
    if report.llm:
        cost = "cost unknown" if report.llm["cost_usd"] is None else f"about {report.llm['cost_usd']:.4f} USD"
        sys.stderr.write(
            f"{report.llm['requests']} requests, {report.llm['from_cache']} answers from the cache, "
            f"{report.llm['second_tries']} second tries, {cost} (all sittings together)\n"
        )
    sys.stderr.writelines(f"{remark}\n" for remark in report.remarks)
    if report.interrupted:
        sys.stderr.write(f"interrupted: {report.n_left} texts are left: go on with --resume\n")
        raise KeyboardInterrupt
    if not report.complete:
        reason = f"ended early: {report.reason}" if report.reason else "some rows failed"
        sys.stderr.write(f"{reason}; {report.n_left} texts are left: go on with --resume\n")
        return 1
    return 0
