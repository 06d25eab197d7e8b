"""Advice on an architecture, from what is known of its layers, and a search that goes by it."""

from rrahelpers.advisor.advice import BEST_SATURATION, advise, borders, propose
from rrahelpers.advisor.candidates import Space
from rrahelpers.advisor.searching import front, search
from rrahelpers.models.surgery import truncate, without_downsampling

__all__ = ["BEST_SATURATION", "Space", "advise", "borders", "front", "propose", "search", "truncate",
           "without_downsampling"]
