"""Loading models and scoring texts. Runs with numpy, tokenizers and onnxruntime; torch only behind its backend."""

from toxitrace.detector.backend import Backend, TokenBatch, Weighed
from toxitrace.detector.detector import Detector
from toxitrace.detector.explanation import Explanation
from toxitrace.detector.loading import default_model, find_model, load

__all__ = ["Backend", "Detector", "Explanation", "TokenBatch", "Weighed", "default_model", "find_model", "load"]
