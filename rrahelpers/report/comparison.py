"""Two reports over the same images: which layers of two networks answer alike, and how every column differs."""

from dataclasses import dataclass

import pandas as pd

from rrahelpers.report.findings import Findings
from rrahelpers.similarity import debiased_cka
from rrahelpers.topology import nnts

CHANGES = {"class_similarity": "Class similarity", "probe": "A probe's accuracy", "saturation": "Saturation"}
WORDS = ("layer", "index", "type", "shape", "path", "border", "best_scale", "finest")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """``pairs``: for each layer of the one and of the other network ``layer``, ``other``, ``i``, ``j`` (their places),
    ``nnts`` (the share of neighbours that an image has in both, at each layer's finest scale) and ``cka`` (debiased
    linear CKA of the first 256 images).

    ``layers``: of each layer that both have by name, ``nnts`` and ``cka`` to its namesake, and what the other has more
    in each column of numbers (booleans count 0 and 1).
    """

    pairs: pd.DataFrame
    layers: pd.DataFrame

    def closest(self) -> pd.DataFrame:
        """For each layer of the one network the layer of the other that keeps most of its neighbours."""
        best = self.pairs.loc[self.pairs.groupby("i")["nnts"].idxmax()]
        return best[["layer", "other", "nnts", "cka"]].reset_index(drop=True)

    def summary(self) -> str:
        """Which of the layers with one name differ most, and in what: up to four sentences."""
        named = self.layers.dropna(subset="nnts")
        if named.empty:
            return (f"{self.pairs['layer'].nunique()} and {self.pairs['other'].nunique()} layers were compared; none "
                    "has a namesake: closest() and pairs tell which are alike.")
        least, most = (named.loc[place] for place in (named["nnts"].idxmin(), named["nnts"].idxmax()))
        told = [f"{len(named)} layers have a namesake in the other network; an image's neighbours there are "
                f"{named['nnts'].mean():.1%} the same on average, {least['nnts']:.1%} in {least['layer']}, where they "
                f"differ most, and {most['nnts']:.1%} in {most['layer']}."]
        for column, words in CHANGES.items():
            if column in named and named[column].notna().any():
                far = named.loc[named[column].abs().idxmax()]
                told.append(f"{words} differs most in {far['layer']}: the other has {far[column]:+.3f}.")
        return "\n".join(told)

    __repr__ = summary


def compare(one: Findings, other: Findings) -> Comparison:
    """A :class:`Comparison` of two :class:`rrahelpers.report.Report`.

    Raises ``ValueError`` for reports over other images, or with another number of neighbours.
    """
    if one.about["digest"] != other.about["digest"] and not _same_pictures(one, other):
        raise ValueError("expected two reports over the same images in the same order; "
                         f"got {one.about['images']} of {one.about['data']} and {other.about['images']} of "
                         f"{other.about['data']}")
    if one.about["k"] != other.about["k"]:
        raise ValueError(f"expected two reports with the same number of neighbours, got k={one.about['k']} and "
                         f"{other.about['k']}")
    places = [dict(zip(report.layers["layer"], report.layers["index"])) for report in (one, other)]
    pairs = pd.DataFrame(
        [{"layer": a, "other": b, "i": places[0][a], "j": places[1][b], "nnts": nnts(one.finest(a), other.finest(b)),
          "cka": _cka(one.grams.get(a), other.grams.get(b))} for a in one.graphs for b in other.graphs],
        columns=["layer", "other", "i", "j", "nnts", "cka"])
    tables = [report.layers.set_index("layer") for report in (one, other)]
    shared = [layer for layer in tables[0].index if layer in tables[1].index]
    numbers = [column for column in tables[0].columns if column in tables[1].columns and column not in WORDS]
    first, second = (table.loc[shared, numbers].astype("Float64").astype(float) for table in tables)
    own = pairs[pairs["layer"] == pairs["other"]].set_index("layer")[["nnts", "cka"]]
    return Comparison(pairs, own.reindex(shared).join(second - first).rename_axis("layer").reset_index())


def _same_pictures(one, other):
    """Networks may want the same images normalised in different ways: then labels and small pictures are the same."""
    both = [(a, b) for a, b in ((one.pictures, other.pictures), (one.labels, other.labels))]
    return one.pictures is not None and all(
        (a is None and b is None) or (a is not None and b is not None and a.shape == b.shape and bool((a == b).all()))
        for a, b in both)


def _cka(a, b):
    return float("nan") if a is None or b is None or len(a) < 4 else debiased_cka(a, b)
