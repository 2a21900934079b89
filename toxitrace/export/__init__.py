"""From a trained model to ONNX graphs that give verdicts and exact gradients without torch."""

from toxitrace.export.folder import ExportReport, export_model
from toxitrace.export.graph import build_graph
from toxitrace.export.verify import TOLERANCE, Differences

__all__ = ["TOLERANCE", "Differences", "ExportReport", "build_graph", "export_model"]
