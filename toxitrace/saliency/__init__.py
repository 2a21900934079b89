"""Saliency: gradients of the margin with respect to word embeddings."""

from toxitrace.saliency.gradient import margin_saliency, saliency_pass, scale_saliency

__all__ = ["margin_saliency", "saliency_pass", "scale_saliency"]
