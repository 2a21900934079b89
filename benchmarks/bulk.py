r"""Bulk scoring: texts per second and memory, workers, kill and resume, and one short text from cold.

    python benchmarks/bulk.py                            # everything
    python benchmarks/bulk.py --only resume --resume-lines 2000
    python benchmarks/bulk.py --only throughput --sizes 10000 1000000 --model runs/export/tiny-1x32

The committed result has 1,000,000 lines with a tiny model alone, so that the encoder hides nothing of the streaming:

    toxitrace train --config configs/cold-scratch-small.yaml --output runs/tiny-1x32 --encoder.name null \
        --encoder.scratch.layers 1 --encoder.scratch.hidden 32 --encoder.scratch.heads 2 \
        --encoder.scratch.feed_forward 64 --encoder.scratch.ngram_buckets 0 --data.limit 6000 \
        --schedule.warmup_epochs 1 --schedule.joint_epochs 1 --optim.lr 2e-3
    toxitrace export --model runs/tiny-1x32 --output runs/export/tiny-1x32

Every figure is that of ``toxitrace predict`` as the shell starts it. Lines are drawn with a seed from ../shared/data:
4 % from COLD dev (about half of them labelled toxic), the rest ordinary posts of the corpus, so that lengths are
natural; how many the model calls toxic stands in the result. Each part writes its own section of results/bulk.json,
so that parts can be run one at a time; of the throughput part a run replaces the rows of its own model, backend and
lines. Parts and rows name the model.onnx that they measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bulk_table import table
from machine import RESULTS, machine, processor, require_shared

from toxitrace.detector.loading import find_model
from toxitrace.detector.onnx_backend import MODEL_FILE

COLD_SHARE = 0.04
SHORT_TEXT = "你真是个笨蛋，闭上你的臭嘴"
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that ended: wall time, and the peak resident memory of it and its children."""

    seconds: float
    peak_mb: float
    peak_mb_parent: float
    code: int
    messages: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="which parts to run")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000], help="lines, part throughput")
    parser.add_argument("--backend", choices=("onnx", "openvino"), default="onnx", help="part throughput")
    parser.add_argument("--model", help="part throughput: another model than the shipped one")
    parser.add_argument("--workers-lines", type=int, default=6_000, help="lines, part workers")
    parser.add_argument("--workers", type=int, default=2, help="processes, part workers")
    parser.add_argument("--resume-lines", type=int, default=100_000, help="lines, part resume")
    parser.add_argument("--kills", type=int, default=2, help="kills on the way, part resume")
    parser.add_argument("--repeats", type=int, default=10, help="processes, part cold")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of bulk.json and bulk.md")
    args = parser.parse_args()
    args.results.mkdir(exist_ok=True)
    path = args.results / "bulk.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only:
            found[name] = {"model": measured_model()} if name != "throughput" else {}  # whose rows name their own
            found[name] |= PARTS[name](args, Path(folder)) | {"machine": machine()}
            path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            (args.results / "bulk.md").write_text(table(found), encoding="utf-8")
    print(table(found))


def throughput(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Texts per second and peak memory at several sizes, one process with all cores."""
    path = args.results / "bulk.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    runs: list[dict[str, Any]] = before.get("throughput", {}).get("runs", [])
    model = measured_model(args.model)
    more = ["--backend", args.backend, *(["--model", args.model] if args.model else [])]
    for n_lines in args.sizes:
        source = write_lines(folder, n_lines, args.seed)
        done = predict(source, folder / "out.jsonl", "--workers", "1", *more)
        facts = {"model": model["name"], "backend": args.backend, "lines": n_lines}
        row = facts | {"model_sha256": model["sha256"], "processor": processor(machine())}
        row |= _speed(n_lines, done) | _toxic_share(folder / "out.jsonl")
        places = [place for place, run in enumerate(runs) if facts.items() <= run.items()] or [len(runs)]
        runs[places[0] : places[0] + 1] = [row]
    return {"runs": runs}


def workers(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One process against several with a thread each, and one with all cores; twice each.

    The first two must write equal bytes; the number of threads moves the last digit of some scores.
    """
    source = write_lines(folder, args.workers_lines, args.seed)
    one, several, whole = "1 worker, 1 thread", f"{args.workers} workers, 1 thread each", "1 worker, all cores"
    options = {one: ["1", "--threads", "1"], several: [str(args.workers), "--threads", "1"], whole: ["1"]}
    speeds: dict[str, list[dict[str, Any]]] = {name: [] for name in options}
    hashes = set()
    for _ in range(2):
        for name, runs in speeds.items():
            done = predict(source, folder / "out.jsonl", "--workers", *options[name])
            runs.append(_speed(args.workers_lines, done))
            if name != whole:
                hashes.add(_sha256(folder / "out.jsonl"))
    best = {n: min(runs, key=lambda run: run["seconds"]) for n, runs in speeds.items()}
    ratio = best[one]["seconds"] / best[several]["seconds"]
    return {"n_lines": args.workers_lines, "best": best, "runs": speeds, "ratio": ratio, "equal": len(hashes) == 1}


def resume(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Kill -9 at random points, go on with --resume, compare with a run that nobody disturbed."""
    source = write_lines(folder, args.resume_lines, args.seed)
    whole, output = folder / "whole.jsonl", folder / "killed.jsonl"
    undisturbed = predict(source, whole)
    chance = random.Random(args.seed)
    marks = sorted(chance.uniform(0.1, 0.9) for _ in range(args.kills))
    n_done = []
    for mark in marks:
        _kill_at(source, output, int(mark * whole.stat().st_size))
        n_done.append(sum(1 for _ in output.open("rb")))
    last = predict(source, output, "--resume")
    again = predict(source, output, "--resume")
    return {
        "n_lines": args.resume_lines,
        "lines_when_killed": n_done,
        "equal": _sha256(whole) == _sha256(output),
        "seconds_undisturbed": undisturbed.seconds,
        "seconds_of_the_rest": last.seconds,
        "seconds_when_finished": again.seconds,
        "peak_mb_of_the_rest": last.peak_mb,
    }


def cold(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A whole process for one short text, and the import alone."""
    command = [sys.executable, "-m", "toxitrace", "predict", SHORT_TEXT]
    runs = [watch(command, every_seconds=0.002) for _ in range(args.repeats + 1)][1:]  # the first warms the disk
    probe = "import time; t = time.perf_counter(); import toxitrace; print(time.perf_counter() - t)"
    imports = [
        float(subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout)
        for _ in range(args.repeats)
    ]
    return {
        "repeats": args.repeats,
        "seconds": statistics.median(run.seconds for run in runs),
        "seconds_all": sorted(run.seconds for run in runs),
        "peak_mb": max(run.peak_mb for run in runs),
        "import_seconds": statistics.median(imports),
    }


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "throughput": throughput,
    "workers": workers,
    "resume": resume,
    "cold": cold,
}


def measured_model(model: str | None = None) -> dict[str, str]:
    """Name of the model that ``predict`` runs, and the first 12 hex digits of its model.onnx's SHA-256."""
    path = find_model(model) / MODEL_FILE
    if not path.is_file():
        raise SystemExit(f"{path} is missing; this benchmark runs exports: toxitrace export")
    return {"name": Path(model).name if model else "shipped", "sha256": _sha256(path)[:12]}


def write_lines(folder: Path, n_lines: int, seed: int) -> Path:
    """A JSON lines file of ``n_lines`` texts; the same seed and size give the same bytes."""
    shared = require_shared()
    path = folder / f"in-{n_lines}.jsonl"
    if path.exists():
        return path
    chance = random.Random(seed)
    rows = (shared / "cold" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    cold_texts = [json.loads(row)["text"] for row in rows]
    n_cold = round(COLD_SHARE * n_lines)
    texts = chance.choices(cold_texts, k=n_cold) + _corpus_sample(shared / "corpus", n_lines - n_cold, chance)
    chance.shuffle(texts)
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts):
            file.write(json.dumps({"id": number, "text": text}, ensure_ascii=False) + "\n")
    return path


def _corpus_sample(corpus: Path, n_lines: int, chance: random.Random) -> list[str]:
    """Every line of the corpus is as likely as any other (reservoir sampling)."""
    kept: list[str] = []
    n_seen = 0
    for path in sorted(corpus.glob("*.txt.xz")):
        with lzma.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                n_seen += 1
                if len(kept) < n_lines:
                    kept.append(line.rstrip("\n"))
                elif (place := chance.randrange(n_seen)) < n_lines:
                    kept[place] = line.rstrip("\n")
    if len(kept) < n_lines:
        raise SystemExit(f"{corpus} has {len(kept)} lines; {n_lines} are wanted: ask for fewer")
    return kept


def predict(source: Path, output: Path, *more: str) -> Finished:
    """``toxitrace predict`` from a file to a file; stops the benchmark if it fails."""
    done = watch(_command(source, output, *more))
    if done.code != 0:
        raise SystemExit(f"toxitrace predict failed:\n{done.messages}")
    return done


def watch(command: list[str], every_seconds: float = 0.05) -> Finished:
    """Run a command and look at its memory, and that of its children, again and again.

    VmHWM is the kernel's own peak for each process; the sum over the tree counts shared pages more than once.
    """
    peaks: dict[int, float] = {}
    with tempfile.TemporaryFile() as messages:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=messages)
        while process.poll() is None:
            for pid in _tree(process.pid):
                peaks[pid] = max(peaks.get(pid, 0.0), _peak_mb(pid))
            time.sleep(every_seconds)
        seconds = time.perf_counter() - started
        messages.seek(0)
        text = messages.read().decode(errors="replace")
    return Finished(seconds, sum(peaks.values()), peaks.get(process.pid, 0.0), process.returncode, text)


def _command(source: Path, output: Path, *more: str) -> list[str]:
    own = ["--input", str(source), "--output", str(output), *more]
    return [sys.executable, "-m", "toxitrace", "predict", *own]


def _kill_at(source: Path, output: Path, n_bytes: int) -> None:
    process = subprocess.Popen(_command(source, output, "--resume"), stderr=subprocess.DEVNULL)
    while process.poll() is None and not (output.exists() and output.stat().st_size >= n_bytes):
        time.sleep(0.01)
    if process.poll() is not None:
        raise SystemExit("the run ended before it could be killed: ask for more lines")
    process.kill()
    process.wait()


def _tree(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *map(int, children)]


def _peak_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 / _MB if found else 0.0


def _speed(n_lines: int, done: Finished) -> dict[str, Any]:
    """The whole process counts, model loading included."""
    return {
        "seconds": done.seconds,
        "texts_per_second": n_lines / done.seconds,
        "peak_mb": done.peak_mb,
        "peak_mb_parent": done.peak_mb_parent,
        "summary": done.messages.strip().splitlines()[-1],
    }


def _toxic_share(output: Path) -> dict[str, float]:
    n_texts = n_toxic = n_chars = 0
    with output.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            row = json.loads(line)
            n_texts, n_toxic, n_chars = n_texts + 1, n_toxic + row["toxic"], n_chars + len(row["text"])
    return {"toxic_share": n_toxic / n_texts, "mean_chars": n_chars / n_texts}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUTF8", "1")
    main()
