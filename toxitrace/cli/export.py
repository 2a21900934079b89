"""``toxitrace export``: a trained model -> a folder that runs on onnxruntime alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from toxitrace.errors import MissingExtraError

if TYPE_CHECKING:
    from toxitrace.export import ExportReport

_NEEDED = ("torch", "transformers", "onnx", "onnxscript")


def build_parser() -> ArgumentParser:
    """The command's options."""
    parser = ArgumentParser(
        prog="toxitrace export",
        description="Write a model as ONNX: model.onnx gives margin, probability and the exact gradient saliency of "
        "every token (and what n-grams say of it, where they judge beside the encoder), classifier.onnx the first two. "
        "The graphs are compared with torch in double precision on fresh "
        "inputs; one that differs is not written.",
    )
    parser.add_argument("--model", metavar="DIR", required=True, help="model folder of `toxitrace train`")
    parser.add_argument("--output", metavar="DIR", required=True, help="export folder, e.g. exports/NAME")
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="fp32: exact; fp16: half the size on disk, computed in fp32; int8: faster classifier.onnx. "
        "What the last two lose is measured and noted in toxitrace.json",
    )
    return parser


def run(config: Any) -> int:
    """Export and say what was written."""
    try:
        import onnxscript  # noqa: F401  # torch's exporter imports it, and then complains in its own words
        from transformers.utils import logging

        from toxitrace.export import export_model
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _NEEDED:
            raise
        raise MissingExtraError(package, "train") from error
    from toxitrace.detector.loading import find_model

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    sys.stdout.write(_summary(export_model(find_model(config.model), config.output, config.precision)))
    return 0


def _summary(report: ExportReport) -> str:
    lines = [f"{report.folder}: {report.precision}"]
    lines += [f"  {name:<18}{n_bytes / 1e6:>10.2f} MB" for name, n_bytes in report.n_bytes.items()]
    lines.append("largest difference from torch in double precision, random inputs:")
    lines += [f"  {name:<18}{value:>10.1e}" for name, value in report.differences.to_dict().items()]
    return "\n".join(lines) + "\n"
