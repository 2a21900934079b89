"""``toxitrace explore queries``: flagged items -> search queries, by a rule, a language model here or a service."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser

from toxitrace.cli.explore_flags import add_item_flags, flagged, output_file, progress, resumable, say
from toxitrace.errors import ConfigError

_FORMS = (
    "whole (the text itself), keywords or keywords-joined (jieba's TF-IDF), spans, recorded:FILE (rows of id and "
    "queries; recorded:builtin:cold-queries is shipped), lm:FOLDER_OR_NAME, gemini:MODEL, openai:MODEL or replay:FILE. "
    "Keys: GEMINI_API_KEY, OPENAI_API_KEY"
)


def build_parser() -> ArgumentParser:
    """The task's options."""
    parser = ArgumentParser(
        prog="toxitrace explore queries",
        description="Queries for flagged items, one JSON line for each item, in the order of the items. Texts are "
        "sent to the service that --generator names, if it names one; nothing is asked or paid twice.",
    )
    add_item_flags(parser)

    def add(flag: str, metavar: str | None, help: str, **options: Any) -> None:
        parser.add_argument(flag, metavar=metavar, help=help, **options)

    add("--generator", "SPEC", f"who writes: {_FORMS}")
    add("--output", "FILE", "JSON lines of id and queries; FILE.meta.json says how they were made")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with an earlier run; what failed is asked again, what was refused is not",
    )
    add("--samples", "N", "draw so many replies for each item instead of the most probable one", type=int)
    add("--beams", "N", "take the so many most probable replies instead", type=int)
    add("--temperature", "T", "of drawn replies; below 1 sharper", type=float, default=1.0)
    add("--top-p", "P", "draw among the most probable tokens that hold this share", type=float, default=0.95)
    add("--max-new-tokens", "N", "longest reply of a local model", type=int, default=48)
    add("--batch-size", "N", "prompts at once in a local model", type=int, default=32)
    parser.add_argument(
        "--grounded", action="store_true", help="a local model may only use the item's own words: see --pieces"
    )
    add("--pieces", "N", "stretches of the item in one grounded query", type=int, default=2)
    add("--max-query-chars", "N", "characters of a grounded query", type=int, default=20)
    add("--seed", "N", "of what is drawn", type=int, default=1)
    add("--llm-url", "URL", "another server, e.g. http://localhost:8000/v1")
    add("--concurrency", "N", "requests at the same time", type=int, default=8)
    add("--max-cost", "USD", "stop before more is spent, earlier sittings of the same output included", type=float)
    add("--max-requests", "N", "stop before more are sent, earlier sittings of the same output included", type=int)
    add("--price-in", "USD", "per million tokens of the questions, if not as listed", type=float)
    add("--price-out", "USD", "per million tokens of the answers", type=float)
    add("--timeout-seconds", "S", "longest silence of the service", type=float, default=120.0)
    add("--cache", "FILE", "keeps every answer; else llm-cache.sqlite beside the output")
    return parser


def run(config: Any) -> int:
    """Write the queries; 1 if some items are left without a row."""
    from toxitrace.explore.tasks.open_generator import ServiceOptions, check_spec

    kind = check_spec(config.generator)
    output = output_file(config, *config["items"])
    generate = _generate(config, kind)
    service = ServiceOptions(
        config.llm_url,
        config.concurrency,
        config.max_cost,
        config.max_requests,
        config.price_in,
        config.price_out,
        config.timeout_seconds,
        config.cache,
    )
    items = flagged(config, config.seed)
    from toxitrace.explore.tasks.write_queries import write_queries

    if kind == "lm":
        from toxitrace.training.quiet import quiet_libraries

        quiet_libraries()
    with resumable(output), progress("items") as told:
        report = write_queries(
            items,
            output,
            config.generator,
            settings=_settings(config, kind),
            generate=generate,
            service=service,
            resume=config.resume,
            told=told,
        )
    refused = f", {report.n_refused} replies refused" if report.n_refused else ""
    refused += f", {report.n_unusable} replies without a query" if report.n_unusable else ""
    cost = "" if report.cost_usd is None else f", about {report.cost_usd:.4f} USD"
    say(
        f"{output}: {report.n_items} items, {report.n_queries} queries, {report.n_without} items without one"
        f"{refused}{cost}"
    )
    if report.n_left:
        say(f"{report.n_left} items are left ({report.reason or 'not asked'}): go on with --resume")
        return 1
    if not report.n_queries:
        why = f"{config.generator} refused" if report.n_refused else f"is {config.generator} made for these items?"
        say(f"no item has a query; expected some: {why}")
        return 1
    return 0


def _generate(config: Any, kind: str) -> Any:
    """`GenerateSettings` of the flags."""
    from toxitrace.explore.config import GenerateSettings, GroundSettings

    if config.samples is not None and config.beams is not None:
        raise ConfigError("--samples and --beams exclude each other; expected one of them: leave one out")
    if kind != "lm" and (config.grounded or config.beams is not None):
        raise ConfigError(f"--grounded and --beams need a local model, but --generator is {config.generator!r}")
    ground = GroundSettings(max_pieces=config.pieces, max_query_chars=config.max_query_chars)
    return GenerateSettings(
        mode="sample" if config.samples is not None else "beam" if config.beams is not None else "greedy",
        n_replies=next((n for n in (config.samples, config.beams) if n is not None), 1),
        temperature=config.temperature,
        top_p=config.top_p,
        max_new_tokens=config.max_new_tokens,
        batch_size=config.batch_size,
        seed=config.seed,
        ground=ground if config.grounded else None,
    )


def _settings(config: Any, kind: str) -> dict[str, Any]:
    from toxitrace.explore.tasks.query_files import fingerprint

    files = [*config["items"], *([config.spans] if config.spans else [])]
    if kind in ("recorded", "replay"):
        files.append(config.generator.partition(":")[2].strip())
    return {
        "sha256": {path: fingerprint(path) for path in files},
        "which": config.which,
        "limit": config.limit,
        "llm_url": config.llm_url,
    }
