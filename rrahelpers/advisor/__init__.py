"""Advice on an architecture, from what is known of its layers."""

from rrahelpers.advisor.advice import BEST_SATURATION, advise, borders, propose
from rrahelpers.models.surgery import truncate, without_downsampling

__all__ = ["BEST_SATURATION", "advise", "borders", "propose", "truncate", "without_downsampling"]
