"""The dissertation's solver: scikit-learn's, stopped after 100 epochs, on features as they are."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import nn

from rrahelpers.probes import fit_probe, fit_saga, probe_layers


def blobs(n=300, spread=1.0):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 3
    x = torch.randn(n, 5, generator=generator)
    x[:, :3] += 1.5 * nn.functional.one_hot(y, 3)
    return x * torch.tensor([1, 1, 1, 1, spread]), y


def test_is_scikit_learns():
    (x, x_test), (y, y_test) = ((part[:200], part[200:]) for part in blobs())
    found = fit_saga(x, y + 4, x_test, y_test + 4, C=0.1, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        own = LogisticRegression(C=0.1, solver="saga", max_iter=100, random_state=2).fit(x.numpy(), y.numpy())
    np.testing.assert_array_equal(found.model.coef_, own.coef_)
    assert found.accuracy == own.score(x_test.numpy(), y_test.numpy())
    assert found.train_accuracy == own.score(x.numpy(), y.numpy())


def test_stops_short_of_the_optimum_where_ranges_differ():
    """Well scaled it is the optimum's probe; with one feature a thousand times as wide it isn't."""
    for spread, short in ((1.0, False), (1000.0, True)):
        (x, x_test), (y, y_test) = ((part[:200], part[200:]) for part in blobs(spread=spread))
        saga, best = fit_saga(x, y, x_test, y_test), fit_probe(x, y, x_test, y_test)
        assert (saga.train_accuracy < best.train_accuracy - 0.1) == short, spread


def test_on_the_layers_of_a_network():
    x, y = blobs(90)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    table = probe_layers(model, x, y, x, y, ["0", "2"], classifier="saga", C=0.5, progress=False)
    assert table.layer.tolist() == ["0", "2"] and not {"gap", "iterations"} & set(table)
    with torch.no_grad():
        first = model[0](x)
    assert table.value[0] == fit_saga(first, y, first, y, C=0.5).accuracy


@pytest.mark.parametrize(("changed", "told"), [
    ({"C": [1.0, 2.0]}, "one C"), ({"C": 0}, "C above 0"), ({"epochs": 0}, "epochs"),
    ({"y": torch.zeros(90, dtype=int)}, "two classes"), ({"x_test": torch.zeros(90, 4)}, "as many features")])
def test_bad_input(changed, told):
    x, y = blobs(90)
    arguments = {"x": x, "y": y, "x_test": x, "y_test": y} | changed
    with pytest.raises(ValueError, match=told):
        fit_saga(**arguments)
