"""A finished run for tests that need one in the store and train nothing."""

import torch

from rrahelpers import models
from rrahelpers.base import files
from rrahelpers.training import RunConfig, runs
from rrahelpers.training.records import FORMAT

CONFIG = RunConfig("resnet20", "digits", options={"width": 0.25}, epochs=2, data_checksum="0123456789ab")
BUILD = {"width": 0.25, "num_classes": 10, "in_channels": 1}


def store(config=CONFIG, **changes):
    """Put a finished run in the store, without training it; ``changes`` are to its record."""
    folder = runs.store_root() / config.name
    row = {"epoch": 1, "learning_rate": 0.1, "loss": 2.0, "train_accuracy": 0.5, "test_accuracy": 0.4, "seconds": 1.0}
    record = {"format": FORMAT, "status": "complete", "config": config.as_dict(), "build": BUILD,
              "mean": [0.3], "std": [0.4], "history": [row, {**row, "epoch": 2, "test_accuracy": 0.6}], **changes}
    torch.manual_seed(0)
    runs.save_weights(folder, models.build(config.model, **BUILD).state_dict())
    files.write_json(folder / "record.json", record)
    return folder
