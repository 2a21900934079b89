"""results/bulk.json as the Markdown that stands beside it."""

from __future__ import annotations

from typing import Any

from machine import processor

_UNKNOWN = "not recorded"


def table(found: dict[str, Any]) -> str:
    """One table per part that was measured."""
    parts = {"throughput": _throughput, "workers": _workers, "resume": _resume, "cold": _cold}
    lines = ["# Bulk scoring (`benchmarks/bulk.py`)"]
    for name, draw in parts.items():
        if name in found:
            lines += ["", *draw(found[name]), "", _source(name, found[name])]
    return "\n".join(lines) + "\n"


def _throughput(part: dict[str, Any]) -> list[str]:
    lines = ["| model, backend | model.onnx | lines | texts/s | peak memory, MB | texts found toxic | mean characters "]
    lines[-1] += "| processor |"
    lines += ["|---" * 8 + "|"]
    lines += [
        f"| {run['model']}, {run['backend']} | {run.get('model_sha256', _UNKNOWN)} | {run['lines']:,} "
        f"| {run['texts_per_second']:,.0f} | {run['peak_mb']:.0f} | {run['toxic_share']:.1%} | {run['mean_chars']:.0f} "
        f"| {run.get('processor', 'that of an earlier run')} |"
        for run in part["runs"]
    ]
    return lines


def _workers(part: dict[str, Any]) -> list[str]:
    lines = [f"{part['n_lines']:,} lines, better of two runs each:", ""]
    lines += ["| workers | texts/s | peak memory of all processes, MB |", "|---|---|---|"]
    lines += [f"| {n} | {best['texts_per_second']:,.0f} | {best['peak_mb']:.0f} |" for n, best in part["best"].items()]
    equal = "equal" if part["equal"] else "DIFFER"
    return [*lines, "", f"Ratio {part['ratio']:.2f}; outputs of one worker and of several {equal} byte for byte."]


def _resume(part: dict[str, Any]) -> list[str]:
    killed = ", ".join(f"{n:,}" for n in part["lines_when_killed"])
    return [
        f"{part['n_lines']:,} lines, killed with -9 when {killed} lines were written, then resumed: output "
        f"{'equal' if part['equal'] else 'DIFFERENT'} byte for byte. Undisturbed {part['seconds_undisturbed']:.1f} s, "
        f"the rest after the last kill {part['seconds_of_the_rest']:.1f} s, `--resume` when finished "
        f"{part['seconds_when_finished']:.1f} s."
    ]


def _cold(part: dict[str, Any]) -> list[str]:
    return [
        f"One short text, a whole process, median of {part['repeats']}: {part['seconds']:.2f} s, peak memory "
        f"{part['peak_mb']:.0f} MB; `import toxitrace` {1000 * part['import_seconds']:.0f} ms."
    ]


def _source(name: str, part: dict[str, Any]) -> str:
    if name == "throughput":  # whose rows name their own models and processors
        return f"Last run: {_machine(part['machine'])}"
    model = part.get("model")
    return f"{_machine(part['machine'])}; model " + (f"{model['name']}, {model['sha256']}" if model else _UNKNOWN)


def _machine(facts: dict[str, Any]) -> str:
    versions = facts["versions"]
    return (
        f"{facts['cores']} cores, {processor(facts)}; onnxruntime {versions.get('onnxruntime')}, "
        f"tokenizers {versions.get('tokenizers')}, Python {versions['python']}, toxitrace {versions.get('toxitrace')}"
    )
