"""Encoders: from the hub, from a folder or from scratch; model folders."""

from toxitrace.encoder.classifier import Classifier, Encoded
from toxitrace.encoder.folder import load_classifier, new_classifier, save_classifier, save_encoder_folder

__all__ = ["Classifier", "Encoded", "load_classifier", "new_classifier", "save_classifier", "save_encoder_folder"]
