"""A trained network cut off before its tail, its new classifier fitted and not trained (dissertation, 9.5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from rrahelpers.features import extract
from rrahelpers.models.surgery import truncate
from rrahelpers.probes import ProbeResult, fit_probe

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageTensor, Integers


@torch.inference_mode(False)
def fitted_stump(model: nn.Module, at: str, x: ImageTensor, y: Integers, x_test: ImageTensor, y_test: Integers, *,
                 C: float = 1.0) -> tuple[nn.Module, ProbeResult]:
    """:func:`truncate` with the weights that the network has, and a probe's in the new linear layer.

    Fine-tuning the classifier alone on the trained stump is the fit of a logistic regression, whose optimum this is.

    Parameters
    ----------
    model: a trained network; it is left as it was. at: as for ``truncate``.
    x, x_test: images [N, C, H, W] as the network takes them; y, y_test: their labels, from 0 on, all classes in y.
    C: as for :func:`rrahelpers.probes.fit_probe`.

    Returns the stump, in evaluation mode, and the probe with its accuracies. Raises ``ValueError`` for labels with
    gaps, and as ``truncate`` and ``fit_probe``.
    """
    classes = torch.unique(y)
    if classes.tolist() != list(range(len(classes))):
        raise ValueError(f"expected labels from 0 on without gaps, got {classes.tolist()}")
    stump = truncate(model, at, len(classes)).eval()
    head = list(stump.named_children())[-1][0]
    features, test_features = (extract(stump, images, [f"{head}.1"])[f"{head}.1"] for images in (x, x_test))
    probe = fit_probe(features, y, test_features, y_test, C=C)
    stump.get_submodule(f"{head}.2").load_state_dict({"weight": probe.coefficients, "bias": probe.intercepts})
    return stump, probe
