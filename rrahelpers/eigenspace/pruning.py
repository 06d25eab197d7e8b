"""How many filters a layer needs, by the variance of its output (Garg et al. 2020; dissertation 4.2, figure 32)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from rrahelpers.eigenspace.covariance import Covariance, check_covariance
from rrahelpers.eigenspace.spectrum import describe

KEPT = 0.9999  # of the variance


def filters_to_keep(covariances: Mapping[str, Covariance], delta: float = KEPT) -> pd.DataFrame:
    """The filters that each layer should keep, and the layers to remove: advice to build a smaller network by, and to
    train that anew.

    A layer keeps as many filters as eigendirections explain ``delta`` of its output's variance. A layer that has no
    more of them than a layer before it breaks their rise, and is to be removed. (The dissertation compares with "the
    previous layer"; here it is the largest number so far, so that what is left does rise.)

    Parameters
    ----------
    covariances: {layer: :class:`Covariance`} in the order of the layers, as of
        :func:`rrahelpers.eigenspace.covariances`. Leave out the classifier: its outputs are the classes. For sequential
        networks alone: where layers are added to one another, none of them can lose filters by itself.
    delta: share of the variance, in (0, 1].

    Returns a row for each layer: ``layer``, ``index``, ``filters`` (now), ``keep``, ``remove`` (whether the layer goes
    as a whole). Raises ``TypeError`` for what are no covariances, ``ValueError`` for none, and as :func:`describe`.
    """
    if not isinstance(covariances, Mapping):
        raise TypeError(f"expected covariances as {{layer: Covariance}}, got {type(covariances).__name__}")
    if not covariances:
        raise ValueError("expected the covariance of at least one layer, got none")
    about = {layer: describe(check_covariance(covariance), delta) for layer, covariance in covariances.items()}
    table = pd.DataFrame([{"layer": layer, "index": index, "filters": own["features"],
                           "keep": own["intrinsic_dimension"]} for index, (layer, own) in enumerate(about.items())])
    return table.assign(remove=table["keep"] <= table["keep"].cummax().shift(fill_value=0))
