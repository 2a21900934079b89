"""Training losses, one file each; all return one value per text."""

from toxitrace.losses.classification import soft_cross_entropy
from toxitrace.losses.contrastive import adaptive_contrastive_loss
from toxitrace.losses.pairwise_gradient import pairwise_gradient_loss
from toxitrace.losses.percentile_threshold import percentile_threshold_loss

__all__ = [
    "adaptive_contrastive_loss",
    "pairwise_gradient_loss",
    "percentile_threshold_loss",
    "soft_cross_entropy",
]
