"""The slides' classifier: what is trained is what they say, and it learns what no straight line tells apart."""

from functools import partial

import pytest
import torch
from torch import nn

from rrahelpers.probes import fit_dense, fit_probe, layerwise, probe_layers


def rings(n=300):
    torch.manual_seed(0)
    y = torch.arange(n) % 2
    return nn.functional.normalize(torch.randn(n, 2)) * (1 + 2 * y[:, None]) + 0.1 * torch.randn(n, 2), y


def test_classes_that_no_line_separates():
    (x, x_test), (y, y_test) = ((part[:200], part[200:]) for part in rings())
    found = fit_dense(x, y + 5, x_test, y_test + 5, epochs=60)
    assert found.accuracy > 0.95 > 0.7 > fit_probe(x, y, x_test, y_test).accuracy
    assert len(found.losses) == 60 and found.losses[-1] < 0.2 * found.losses[0] and found.classes.tolist() == [5, 6]
    kinds = [type(layer) for layer in found.model]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.BatchNorm1d, nn.Softmax]
    with torch.no_grad():
        predicted = found.classes[found.model(x_test).argmax(1)]
    assert (predicted == y_test + 5).double().mean().item() == found.accuracy


def test_the_first_loss_is_the_summed_squared_error():
    """One epoch of one batch: the loss before any step, by hand from the same weights."""
    x, y = rings(50)
    before = torch.random.get_rng_state()
    found = fit_dense(x, y, x, y, epochs=1, width=4, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first, second = nn.Linear(2, 4), nn.Linear(4, 2)
    scores = second(first(x).relu())
    scores = (scores - scores.mean(0)) / (scores.var(0, correction=0) + 1e-5).sqrt()
    wanted = torch.stack([y == 0, y == 1], 1).float()
    assert found.losses == [pytest.approx((scores.softmax(1) - wanted).square().sum(1).mean().item(), rel=1e-5)]
    again = fit_dense(x, y, x, y, epochs=1, width=4, seed=3)
    assert again.losses == found.losses and fit_dense(x, y, x, y, epochs=1, width=4).losses != found.losses


def test_behind_every_layer_of_a_network(monkeypatch):
    monkeypatch.setitem(layerwise.CLASSIFIERS, "dense", partial(fit_dense, epochs=2))
    x, y = rings(120)
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2))
    table = probe_layers(model, x[:80], y[:80], x[80:], y[80:], ["0", "2"], classifier="dense", progress=False)
    assert table.columns.tolist() == ["layer", "index", "size", "features", "value", "train", "seconds"]
    with torch.no_grad():
        single = fit_dense(model[0](x[:80]), y[:80], model[0](x[80:]), y[80:], epochs=2)
    assert table.value.tolist()[0] == single.accuracy


@pytest.mark.parametrize("options, message", [({"epochs": 0}, "epochs to be a positive whole number, got 0"),
                                              ({"width": 1.5}, "width to be a positive whole number, got 1.5")])
def test_bad_options(options, message):
    x, y = rings(20)
    with pytest.raises(ValueError, match=message):
        fit_dense(x, y, x, y, **options)
    with pytest.raises(ValueError, match="at least two classes"):
        fit_dense(x, torch.zeros(20, dtype=torch.int64), x, y)
    with pytest.raises(ValueError, match="unknown classifier 'forest'"):
        probe_layers(nn.Sequential(nn.Linear(2, 2)), x, y, x, y, classifier="forest", progress=False)
