"""Write the figures of benchmarks/results/ into the README, between its two result markers.

    python scripts/readme_results.py

No figure in the README is typed by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
START, END = "<!-- results -->", "<!-- end of results -->"

# (file, section, measure, what the table calls it)
DEVELOPMENT = (
    ("default-cold-dev", "classification", "macro_f1", "COLD dev (semi-automatic labels), macro-F1"),
    ("default-dev-expert", "classification", "macro_f1", "dev_expert, macro-F1 *"),
    ("default-dev-expert", "classification", "auroc", "dev_expert, AUROC"),
    ("default-cntp", "classification", "auroc", "CNTP third, AUROC"),
    ("default-cntp", "spans", "character_f1", "CNTP third spans, end to end, character F1 *"),
    ("default-cntp", "faithfulness", "comprehensiveness", "CNTP third, fall in probability, spans masked"),
    ("default-cntp", "faithfulness", "comprehensiveness_random", "CNTP third, the same, random stretches masked"),
)


def main() -> None:
    sections = (_development(), _ablation(), _step(), _cusa(), _explore(), _speed())
    parts = ["## Results", *(line for section in sections for line in ("", *section))]
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    readme.write_text(f"{before}{START}\n" + "\n".join(parts) + f"\n{END}{after}", encoding="utf-8")


def _development() -> list[str]:
    lines = [
        "The default model ([model card](MODEL_CARD.md)), trained here from scratch. Development figures; no test part",
        "was looked at. In brackets 95 % bootstrap intervals; \\* thresholds were chosen on this part, so it flatters.",
        "",
        "| development part and measure | value |",
        "|---|---|",
    ]
    for file, section, measure, name in DEVELOPMENT:
        cell = _read(file)[section][measure]
        lines.append(f"| {name} | {100 * cell['value']:.1f} ({100 * cell['low']:.1f}-{100 * cell['high']:.1f}) |")
    error = _read("default-dev-expert")["settings"]["cross_fitted_ece"]
    lines.append(f"| dev_expert, calibration error (ECE), calibration cross-fitted | {error:.3f} |")
    lines += ["", "Against character n-grams with logistic regression (`benchmarks/default_model.py`):", ""]
    lines += [(RESULTS / "default_model.md").read_text(encoding="utf-8").strip(), ""]
    lines += ["Its spans (`benchmarks/default_spans.py`):", ""]
    return [*lines, (RESULTS / "default_spans.md").read_text(encoding="utf-8").strip()]


def _ablation() -> list[str]:
    full, small = (
        (RESULTS / f"{name}.md").read_text(encoding="utf-8").strip() for name in ("ablation_full", "ablation")
    )
    return [
        "What each part adds, on all of COLD's training part, one seed (`benchmarks/ablation.py --limit 100000`,",
        "an epoch of warm-up and one of all losses, the encoder as pre-trained, nothing beside it):",
        "",
        full,
        "",
        "On a small subset, three seeds (the earlier encoder, run before a fault was mended that kept dropout off in",
        "encoders from a folder):",
        "",
        small,
    ]


def _step() -> list[str]:
    result = _read("training_step")
    lines = [
        "What GCLoss costs: time of a training step with it over cross-entropy alone, in one run",
        f"(`benchmarks/training_step.py`, {result['machine']['cores']} cores, {result['machine'].get('cpu', '')}):",
        "",
        "| texts with spans in a batch | precision | ratio |",
        "|---|---|---|",
    ]
    for name, case in result["cases"].items():
        lines.append(f"| {100 * case['share']:.0f} % | {name.split(', ')[1]} | {case['ratio']:.2f} |")
    return lines


def _cusa() -> list[str]:
    """The scores; which differences hold, and how the spans differ, stands in the files."""
    full, small = (_cusa_scores(name) for name in ("cusa_full", "cusa"))
    return [
        "Where the spans come from: raw clues, the offline refiner, a language model. On all of COLD's training part,",
        "one seed (`benchmarks/cusa.py --limit 100000`, an epoch of warm-up and a joint one;",
        "[more](benchmarks/results/cusa_full.md)).",
        "",
        full,
        "",
        "On a small subset, three seeds (the earlier encoder; [more](benchmarks/results/cusa.md)):",
        "",
        small,
    ]


def _cusa_scores(name: str) -> str:
    text = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
    return text[text.index("Development parts;") : text.index("Differences in points")].strip()


def _explore() -> list[str]:
    """What the queries find; yield, diversity, recall and differences stand in the file."""
    lines = (RESULTS / "explore_queries.md").read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| queries |"))
    end = lines.index("", first)
    return [
        "Who writes the search queries that find most toxic posts (`benchmarks/explore_queries.py`; tihr: share of",
        "toxic posts among a query's results; what it costs in variety and recall: "
        "[more](benchmarks/results/explore_queries.md)):",
        "",
        *lines[first:end],
    ]


def _speed() -> list[str]:
    """The first table; how exact, how close to the limit and how fast end to end stands in the file."""
    text = (RESULTS / "saliency_throughput.md").read_text(encoding="utf-8")
    return [
        "How fast the exact saliency is ([more](benchmarks/results/saliency_throughput.md), "
        "[bulk files](benchmarks/results/bulk.md)):",
        "",
        text.split("\n\nHow far")[0].strip(),
    ]


def _read(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


if __name__ == "__main__":
    main()
