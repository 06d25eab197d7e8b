"""The fitted classifier on a trained stump is a probe on what the cut layer gets."""

import pandas as pd
import pytest
import torch
from torch import nn

from rrahelpers.advisor import fitted_stump, truncate
from rrahelpers.probes import fit_probe
from rrahelpers.study.stumps import stump_table, stumps
from rrahelpers.training import RunConfig, train

pytestmark = pytest.mark.usefixtures("one_thread")


def test_its_accuracy_is_the_probes_and_the_networks_weights_stay():
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                          nn.Linear(4, 3)).eval()
    y, y_test = torch.arange(90) % 3, torch.arange(30) % 3
    x, x_test = (torch.randn(len(labels), 1, 8, 8) + labels[:, None, None, None] for labels in (y, y_test))
    stump, found = fitted_stump(model, "2", x, y, x_test, y_test)
    features, test_features = ((model[0](images).relu()).mean((2, 3)).detach() for images in (x, x_test))
    expected = fit_probe(features, y, test_features, y_test)
    assert found.accuracy == expected.accuracy > 0.5
    logits = stump(x_test)
    assert (logits.argmax(1) == y_test).float().mean() == pytest.approx(found.accuracy)
    torch.testing.assert_close(logits, test_features @ expected.coefficients.T + expected.intercepts.float(),
                               rtol=1e-3, atol=1e-3)
    assert torch.equal(stump.get_submodule("0").weight, model[0].weight) and not stump.training
    assert truncate(model, "2").state_dict().keys() == stump.state_dict().keys()
    with pytest.raises(ValueError, match=r"expected labels from 0 on without gaps, got \[0, 2\]"):
        fitted_stump(model, "2", x, y * 0 + 2 * (y > 1), x_test, y_test)


def test_beside_the_network_that_was_trained_again():
    config = RunConfig("vgg11", "digits", options={"width": 1 / 16}, image_size=32, limit=96, epochs=1, batch_size=32,
                       augmentation=())
    cut = RunConfig("vgg11", "digits", options={"width": 1 / 16, "truncate_at": "features.8"}, image_size=32, limit=96,
                    epochs=1, batch_size=32, augmentation=())
    whole, again = train(config, device="cpu"), train(cut, device="cpu")
    assert stump_table(whole, "features.8", 96, compute=False) is None
    cells = pd.DataFrame([{"label": "VGG11", "at": "", "runs": [whole]},
                          {"label": "VGG11", "at": "features.8", "runs": [again]}])
    table = stumps(cells, 96).set_index("way")
    assert table.accuracy.to_dict() == {"whole": whole.accuracy, "retrained": again.accuracy,
                                        "fitted": stump_table(whole, "features.8", 96, compute=False).accuracy[0]}
    assert 0 < table.accuracy["fitted"] <= 1
