"""Table 3 on pictures whose variance is known, and the autoencoder that the store keeps."""

from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from rrahelpers import data
from rrahelpers.eigenspace import covariances
from rrahelpers.study import published
from rrahelpers.study.eigenspaces import autoencoder as autoencoders


@pytest.fixture
def pictures():
    """Images of 2x2 pixels that vary along each pixel by itself: 98.5, 1.05, 0.4 and 0.05 % of the variance."""
    deviations = (0.1 * torch.tensor([0.985, 0.0105, 0.004, 0.0005])).sqrt()
    return 0.5 + torch.cat([sign * torch.diag(deviations) for sign in (1, -1)]).view(8, 1, 2, 2)


def test_what_is_lost_is_the_variance_outside_of_the_eigenspace(pictures):
    identity = nn.Sequential(OrderedDict(code=nn.Flatten(), unfold=nn.Unflatten(1, (1, 2, 2)))).eval()
    table, shown = autoencoders.in_eigenspaces(identity, covariances(identity, pictures, ["code"]), pictures, shown=3)
    shares = torch.tensor([0.985, 0.0105, 0.004, 0.0005]).double()
    printed = published.dissertation("autoencoder")
    assert table.delta.tolist() == printed.delta.tolist() and table["published loss"].tolist() == printed.loss.tolist()
    for row in table.itertuples():
        kept = 4 if row.delta == 1 else next(k for k in range(1, 5) if shares[:k].sum() >= row.delta - 1e-6)
        assert row.dimensions == kept and row.share == kept / 4
        assert row.loss == pytest.approx(0.1 / 16 * shares[kept:].sum().item(), abs=1e-7)  # 8 pictures, 4 pixels each
        assert row.unexplained == pytest.approx(shares[kept:].sum().item(), abs=1e-5)
    assert list(shown)[0] == "picture" and len(shown) == 1 + len(table) and all(len(x) == 3 for x in shown.values())


def test_the_table_for_reading_has_printed_and_measured_columns():
    table = autoencoders.pd.DataFrame({"delta": [1.0], **{who + name: [1] for who in ("published ", "")
                                                          for name in autoencoders.COMPARED}})
    side = autoencoders.beside_published(table)
    assert [who for who, _ in side.columns] == ["", *["published (table 3)"] * 4, *["measured"] * 4]
    assert "100.0%" in side.to_html() and "1.0000" in side.to_html()


RECIPE = autoencoders.Recipe("digits", size=8, limit=20, epochs=1, learning_rate=0.01)


def test_it_is_trained_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("RRA_RUNS", str(tmp_path))
    first = autoencoders.trained(RECIPE)
    (folder,) = tmp_path.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["recipe.json", "weights.safetensors"]
    monkeypatch.setattr(autoencoders, "_train", None)  # would fail
    again = autoencoders.trained(RECIPE)
    images = RECIPE.images("train").images
    x = next(autoencoders.floats(images))
    assert not again.training and torch.equal(first(x), again(x))
    np.testing.assert_allclose(x.numpy(), images.numpy() / 255)


def test_what_was_measured_is_read_without_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("RRA_RUNS", str(tmp_path))
    expected, rows = autoencoders.in_eigenspaces(*autoencoders.with_covariances(RECIPE), shown=3)
    first, _ = autoencoders.table_3(RECIPE, shown=3)

    def gone(*args, **kwargs):
        raise data.DataError("no data here")

    monkeypatch.setattr(data, "load", gone)
    table, shown = autoencoders.table_3(RECIPE, shown=3)
    pd.testing.assert_frame_equal(table, first)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, rtol=1e-6)
    assert list(shown) == list(rows)
    for title, images in rows.items():
        torch.testing.assert_close(shown[title], images.clamp(0, 1), atol=0.5 / 255 + 1e-6, rtol=0)
