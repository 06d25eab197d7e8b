"""Readings of class-similarity curves: layers of ResNet20 by their number, scales by their window."""

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


def cs(layer, scale="1", figure=CIFAR):
    """Class similarity at a layer (the mean over several), a number for each network."""
    return value(figure, index=layer, scale=scale)


def gain(layer, scale, over, figure=CIFAR):
    """From one scale to another."""
    return cs(layer, scale, figure) - cs(layer, over, figure)


def step(layer, scale, figure=CIFAR):
    """From the layer before."""
    return cs(layer, scale, figure) - cs(layer - 1, scale, figure)


def highest(figure):
    """Of all layers and scales."""
    return each(figure, lambda table: table["value"].max())


def line(scale, last, figure=CIFAR):
    """R² of a line through layers 0 to ``last``."""
    return each(figure, lambda table: np.corrcoef(table["index"], table["value"])[0, 1] ** 2, scale=scale,
                index=range(last + 1))


def best_scales(table):
    """The scale of the highest curve at each layer that has a map."""
    rows = table[table["index"] <= 10]
    return rows.loc[rows.groupby("index")["value"].idxmax()].set_index("index")["scale"]


def steps(table, layers=1):
    """The rises over so many layers, by the layer in which they end."""
    return table.set_index("index")["value"].loc[:10].diff(layers)


def gains(table, scale, over):
    """From one scale to another at each layer that has a map."""
    wide = table.pivot(index="index", columns="scale", values="value")
    return (wide[scale] - wide[over]).loc[:10]


def alike(pairs):
    """Mean correlation of curves of the two data sets over pairs of scales, networks paired by seed."""
    def of(tables):
        first, second = (tables.read(name).pivot_table(index=["seed", "index"], columns="scale", values="value")
                         for name in (CIFAR, IMG64))
        seeds = [seed for seed in first.index.levels[0] if seed in second.index.levels[0]]
        return pd.Series({seed: np.mean([first.loc[seed][a].corr(second.loc[seed][b]) for a, b in pairs])
                          for seed in seeds})
    return Numbers(of)


def against_dimension(table):
    """Correlation of class similarity and intrinsic dimension over the stem and the blocks, before the last rise."""
    wide = table[table["index"].between(1, 8) & (table["scale"] == "1")].pivot_table(
        index="index", columns="measure", values="value")
    return wide["class similarity"].corr(wide["intrinsic dimension"])
