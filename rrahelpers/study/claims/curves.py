"""Readings of class-similarity curves: layers of ResNet20 by their number, scales by their window."""

from collections.abc import Collection, Sequence
from itertools import product

import numpy as np
import pandas as pd

from rrahelpers.neighbors import SCALES
from rrahelpers.study.claims.readings import Numbers, each, value

CIFAR, IMG64 = "classrepsim-figure-4a", "classrepsim-figure-4b"
NAMES = [str(scale) for scale in SCALES]
EQUAL_WINDOW = [(name, name) for name in NAMES]
EQUAL_MAP = [("1", "2"), ("2", "4"), ("4", "8"), ("global", "global")]  # Img64-50's maps have twice the side
ANY = list(product(NAMES, NAMES))
Layers = int | Collection[int]


def cs(layer: Layers, scale: str | Sequence[str] = "1", figure: str = CIFAR) -> Numbers:
    """Class similarity at a layer (the mean over several), a number for each network."""
    return value(figure, index=layer, scale=scale)


def gain(layer: Layers, scale: str, over: str, figure: str = CIFAR) -> Numbers:
    """From one scale to another."""
    return cs(layer, scale, figure) - cs(layer, over, figure)


def step(layer: int, scale: str, figure: str = CIFAR) -> Numbers:
    """From the layer before."""
    return cs(layer, scale, figure) - cs(layer - 1, scale, figure)


def at_ten(start: int, figure: str = CIFAR) -> Numbers:
    """The rise of the unpooled curve over layers 8 to 10 as a share of that from layer ``start`` to 12."""
    return (cs(10, figure=figure) - cs(8, figure=figure)) / (cs(12, figure=figure) - cs(start, figure=figure))


def highest(figure: str) -> Numbers:
    """Of all layers and scales."""
    return each(figure, lambda table: table["value"].max())


def line(scale: str, last: int, figure: str = CIFAR) -> Numbers:
    """R² of a line through layers 0 to ``last``."""
    return each(figure, lambda table: np.corrcoef(table["index"], table["value"])[0, 1] ** 2, scale=scale,
                index=range(last + 1))


def best_scales(table: pd.DataFrame) -> pd.Series:
    """The scale of the highest curve at each layer that has a map."""
    rows = table[table["index"] <= 10]
    return rows.loc[rows.groupby("index")["value"].idxmax()].set_index("index")["scale"]


def steps(table: pd.DataFrame, layers: int = 1) -> pd.Series:
    """The rises over so many layers, by the layer in which they end."""
    return table.set_index("index")["value"].loc[:10].diff(layers)


def gains(table: pd.DataFrame, scale: str, over: str) -> pd.Series:
    """From one scale to another at each layer that has a map."""
    wide = table.pivot(index="index", columns="scale", values="value")
    return (wide[scale] - wide[over]).loc[:10]


def alike(pairs: Sequence[tuple[str, str]]) -> Numbers:
    """Mean correlation of curves of the two data sets over pairs of scales, networks paired by seed."""
    def of(tables):
        first, second = (tables.read(name).pivot_table(index=["seed", "index"], columns="scale", values="value")
                         for name in (CIFAR, IMG64))
        seeds = [seed for seed in first.index.levels[0] if seed in second.index.levels[0]]
        return pd.Series({seed: np.mean([first.loc[seed][a].corr(second.loc[seed][b]) for a, b in pairs])
                          for seed in seeds})
    return Numbers(of)


def against_dimension(table: pd.DataFrame) -> float:
    """Correlation of class similarity and intrinsic dimension over the stem and the blocks, before the last rise."""
    wide = table[table["index"].between(1, 8) & (table["scale"] == "1")].pivot_table(
        index="index", columns="measure", values="value")
    return wide["class similarity"].corr(wide["intrinsic dimension"])
