"""Two processes see a half of the data each: together they have the covariance of the whole."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from rrahelpers.eigenspace import Covariance, CSVWriter, SaturationTracker


def model_and_data():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 30)), torch.randn(40, 5) + 100


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model, x = model_and_data()
    with SaturationTracker(model, distributed=True, writers=[CSVWriter(f"{folder}/{rank}.csv")]) as tracker:
        model(x[:25] if rank == 0 else x[25:])
        if rank == 1:  # a split that the other lacks
            model.eval()
            model[0](x[:6])
        kept = {}
        tracker.writers.append(type("Keep", (), {"write": lambda self, epoch: kept.update(epoch.covariances)})())
        tracker.end_epoch()
    tracker.table.to_pickle(f"{folder}/{rank}.pkl")
    if rank == 0:
        np.savez(f"{folder}/found.npz", **{name: one.matrix().numpy() for name, one in kept["train"].items()})
    other = SaturationTracker(model, ["0" if rank else "2"], distributed=True)
    other.covariances["train"]["0"] = Covariance(4 + rank)
    try:
        other.end_epoch()
    except ValueError as error:
        assert "one number of features in all processes, got [4, 5]" in str(error)
    else:
        raise AssertionError("numbers of features that differ were accepted")
    dist.destroy_process_group()


def test_two_processes_have_the_covariance_of_the_whole(tmp_path):
    import pandas as pd

    mp.spawn(work, (str(tmp_path),), nprocs=2)
    model, x = model_and_data()
    with np.load(tmp_path / "found.npz") as found, torch.no_grad():
        for name, y in {"0": model[0](x), "2": model(x)}.items():
            np.testing.assert_allclose(found[name], np.cov(y.double().numpy(), rowvar=False, bias=True), atol=1e-5)
    first, second = (pd.read_pickle(tmp_path / f"{rank}.pkl") for rank in range(2))
    pd.testing.assert_frame_equal(first, second)  # whoever asks
    assert first.groupby("split").observations.max().to_dict() == {"train": 40, "validation": 6}
    assert (tmp_path / "0.csv").is_file() and not (tmp_path / "1.csv").exists()


def test_without_processes_it_is_said():
    with pytest.raises(RuntimeError, match="init_process_group"):
        SaturationTracker(nn.Linear(2, 2), distributed=True)
