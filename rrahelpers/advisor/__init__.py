"""Advice on an architecture, from what is known of its layers, and a search that goes by it."""

from rrahelpers.advisor.advice import advise, borders
from rrahelpers.advisor.candidates import Space
from rrahelpers.advisor.proposals import propose
from rrahelpers.advisor.searching import front, search
from rrahelpers.advisor.stump import fitted_stump
from rrahelpers.advisor.width import BEST_SATURATION
from rrahelpers.models.insertion import with_downsampling, with_shortcuts
from rrahelpers.models.surgery import truncate, without_downsampling

__all__ = ["BEST_SATURATION", "Space", "advise", "borders", "fitted_stump", "front", "propose", "search", "truncate",
           "with_downsampling", "with_shortcuts", "without_downsampling"]
