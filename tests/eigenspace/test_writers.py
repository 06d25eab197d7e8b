"""Writers, metrics and resumption: what a tracker has found lands everywhere, and goes on where it was."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from rrahelpers.eigenspace import (
    ArrayWriter,
    ConsoleWriter,
    CSVWriter,
    NotebookWriter,
    PictureWriter,
    SaturationTracker,
    TensorBoardWriter,
)


class Board:
    def __init__(self):
        self.scalars = {}

    def add_scalar(self, tag, value, step):
        self.scalars[tag, step] = value


def followed(model, writers, epochs=2, **options):
    """A loop with metrics of its own; returns the tracker."""
    torch.manual_seed(0)
    with SaturationTracker(model, writers=writers, **options) as tracker:
        for epoch in range(epochs):
            model.train()
            model(torch.randn(40, 4))
            model.eval()
            model(torch.randn(9, 4))
            tracker.end_epoch({"accuracy": 0.5 + epoch / 10, "loss": torch.tensor(1.25)})
    return tracker


def test_all_columns_and_metrics_go_to_all_writers(tmp_path, capsys):
    board, model = Board(), nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    tracker = followed(model, [CSVWriter(tmp_path / "deep" / "table.csv"), TensorBoardWriter(board), ConsoleWriter(),
                               PictureWriter(tmp_path / "plots"), NotebookWriter()], extended=True)
    table = pd.read_csv(tmp_path / "deep" / "table.csv", dtype={"layer": str})
    pd.testing.assert_frame_equal(table, tracker.logged)
    assert list(tracker.logged.columns) == [*tracker.table.columns, "seconds", "accuracy", "loss"]
    assert tracker.metrics.accuracy.tolist() == [0.5, 0.6] and (tracker.metrics.seconds > 0).all()
    for row in tracker.table.to_dict("records"):
        for column in set(row) - {"epoch", "split", "layer", "index"}:
            assert board.scalars[f"{column}/{row['split']}/{row['layer']}", row["epoch"]] == row[column]
    assert board.scalars["accuracy", 2] == 0.6 and board.scalars["loss", 1] == 1.25
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["epoch-0001.png", "epoch-0002.png"]
    assert (tmp_path / "plots" / "epoch-0001.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "epoch 2" in printed and "accuracy 0.6" in printed and "log_determinant" in printed
    assert "Figure" in printed  # outside a notebook, IPython prints what it would show


def test_covariances_and_embeddings_are_those_of_numpy(tmp_path):
    model = nn.Sequential(nn.Linear(4, 3))
    followed(model, [ArrayWriter(tmp_path, observations=20)], epochs=1)
    torch.manual_seed(0)
    x = torch.randn(40, 4)
    y = model(x).detach().double().numpy()
    with np.load(tmp_path / "epoch-0001.npz") as arrays:
        assert set(arrays) == {f"{split}/0/{what}" for split in ("train", "validation")
                               for what in ("covariance", "mean", "embedding")}
        np.testing.assert_allclose(arrays["train/0/covariance"], np.cov(y, rowvar=False, bias=True), rtol=1e-6)
        values, vectors = np.linalg.eigh(np.cov(y, rowvar=False, bias=True))
        found = arrays["train/0/embedding"]
        wanted = ((y - y.mean(0)) @ vectors[:, ::-1][:, :2])[::2]  # 20 of 40, evenly
        np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-6)
        assert len(arrays["validation/0/embedding"]) == 9
        assert arrays["train/0/covariance"].dtype == np.float64


def test_without_observations_no_embedding_is_kept(tmp_path):
    followed(nn.Sequential(nn.Linear(4, 3)), [ArrayWriter(tmp_path)], epochs=1)
    with np.load(tmp_path / "epoch-0001.npz") as arrays:
        assert not [name for name in arrays if "embedding" in name]


def test_a_training_goes_on_where_it_was(tmp_path):
    model, path = nn.Sequential(nn.Linear(4, 3)), tmp_path / "table.csv"
    before = followed(model, [CSVWriter(path)], epochs=3)
    after = SaturationTracker(model, writers=[CSVWriter(path)]).resume(path, epoch=2)
    with after:
        model(torch.randn(9, 4))
    assert after.table.epoch.tolist() == [1, 1, 2, 2, 3]
    pd.testing.assert_frame_equal(after.table[:4], before.table[:4])
    assert set(after.table["layer"]) == {"0"} and set(after.table["index"]) == {0}
    assert pd.read_csv(path).accuracy.isna().tolist() == [False] * 4 + [True]
    assert after.metrics.epoch.tolist() == [1, 2, 3] and after.metrics.accuracy.tolist()[:2] == [0.5, 0.6]
    whole = SaturationTracker(model).resume(before.logged)
    assert whole.epoch == 3 and whole.table.equals(before.table)
    with pytest.raises(ValueError, match="lacks the columns.*'saturation'"):
        whole.resume(before.table.drop(columns="saturation"))


def test_what_cannot_be_written_does_not_end_the_training(tmp_path):
    model, board = nn.Linear(3, 2), Board()
    with SaturationTracker(model, writers=[CSVWriter(tmp_path), TensorBoardWriter(board)]) as tracker:  # a folder
        for _ in range(2):
            model(torch.randn(8, 3))
            with pytest.warns(UserWarning, match="CSVWriter cannot write epoch .*the table has the rows all the same"):
                tracker.end_epoch()
    assert tracker.table.epoch.tolist() == [1, 2] and list(tmp_path.iterdir()) == []
    assert ("saturation/train/Linear", 2) in board.scalars  # the next writer has its turn


def test_bad_input_is_refused_before_the_first_epoch(tmp_path):
    model = nn.Linear(3, 2)
    with pytest.raises(TypeError, match=r"a writer with add_scalar\(tag, value, step\), got str"):
        TensorBoardWriter("runs")
    with pytest.raises(TypeError, match=r"writers with write\(epoch\).*got \['Board'\]"):
        SaturationTracker(model, writers=[Board()])
    with pytest.raises(TypeError, match=r"got \['str'\]"):
        SaturationTracker(model, writers="table.csv")
    assert len(SaturationTracker(model, writers=ConsoleWriter()).writers) == 1
    assert len(SaturationTracker(model, writers=(writer for writer in [ConsoleWriter()])).writers) == 1
    with pytest.raises(ValueError, match="whole number from 0 on, got -1"):
        ArrayWriter(tmp_path, observations=-1)
    with SaturationTracker(model) as tracker:
        model(torch.randn(8, 3))
        with pytest.raises(TypeError, match=r"metrics as \{name: number\}, got \{'loss': 'low'\}"):
            tracker.end_epoch({"loss": "low"})
        with pytest.raises(ValueError, match=r"own columns can't be metrics: \['layer'\]"):
            tracker.end_epoch({"layer": 3})
        tracker.end_epoch()
    assert tracker.table.observations.tolist() == [8]
