"""How many images, and which layers, a time allows: told by two small trials and the speed of the neighbour search.

The time of n images is taken for c + a n + b n²: a fixed part, passes and probes, and the search, which compares all
pairs.
"""

import math
import time
from collections.abc import Callable

import torch

from rrahelpers.neighbors import knn_graph

FIRST, SECOND = 4, 64  # images of the trials, the second at most
LEAST = 30  # images below which layers are left out instead
FEWEST = 1 / 3  # of the layers are looked at however little time there is
SHARE = 0.8  # of the time that is planned: estimates err


def plan(budget: float, trial: Callable[[int], object], images: int, layers: list[str],
         numbers: int) -> tuple[int, list[str], str]:
    """(images, layers, what to tell of them) that ``budget`` seconds allow, the trials' own included.

    Parameters
    ----------
    trial: called with a number of images; runs everything once.
    images, layers: what there is; layers: names, "input" and the last are kept.
    numbers: features of one image that are searched, of all layers and scales together.
    """
    started, first = time.perf_counter(), min(FIRST, images)
    trial(first)  # sets up what is set up once
    short = _timed(trial, first)
    second = min(SECOND, images, max(2 * first, int((budget - (time.perf_counter() - started)) / max(short, 1e-9))))
    each = max(0.0, _timed(trial, second) - short) / max(1, second - first)
    fixed, pairs = max(0.0, short - first * each), numbers / _speed()
    left = SHARE * (budget - (time.perf_counter() - started)) - fixed
    allowed = min(images, max(LEAST, _solve(pairs, each, left)))
    price, chosen, told = each * allowed + pairs * allowed**2, layers, []
    if price > left:
        share = max(FEWEST, left / max(price, 1e-9))
        chosen = _spread(layers, max(2, math.floor(share * len(layers))))
    if allowed < images:
        told.append(f"{allowed} of {images} images")
    if len(chosen) < len(layers):
        missing = [layer for layer in layers if layer not in chosen]
        told.append(f"{len(chosen)} of {len(layers)} layers (without {', '.join(missing)})")
    return allowed, chosen, f"budget: {budget:.3g} seconds allow {' and '.join(told)}" if told else ""


def _timed(function, argument):
    start = time.perf_counter()
    function(argument)
    return time.perf_counter() - start


def _speed(rows=512, features=4096):
    """Pairs of features that the search compares in a second."""
    x = torch.randn(rows, features, generator=torch.Generator().manual_seed(0))
    knn_graph(x[:8], 1)  # sets up
    return rows**2 * features / _timed(lambda k: knn_graph(x, k), 10)


def _solve(square, each, left):
    """The largest whole n with square n² + each n <= left."""
    if left <= 0:
        return 0
    if not square:
        return math.floor(left / each) if each else 2**62
    return math.floor((math.sqrt(each**2 + 4 * square * left) - each) / (2 * square))


def _spread(layers, count):
    """So many of the layers, evenly, the first and the last among them."""
    places = dict.fromkeys(round(i * (len(layers) - 1) / max(1, count - 1)) for i in range(count))
    return [layers[place] for place in places]
