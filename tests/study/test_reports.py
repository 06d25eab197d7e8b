"""A stored run as a report: the same numbers as from one's own network, made once, with the one explorer."""

import pandas as pd
import pytest

from rrahelpers.report import Preprocessing, analyse
from rrahelpers.study import grids
from rrahelpers.study.results.reports import run_report
from rrahelpers.training import at_epoch, train

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIG = grids.recipe("digits", epochs=1, limit=64, options={"width": 0.25, "depth": 0.34})


def test_a_run_becomes_a_report_that_is_made_once():
    run = train(CONFIG, keep_every=1)
    assert run_report(run, 30, k=3, compute=False) is None
    first = run_report(run, 30, k=3)
    expected = analyse(run.model(), run.images("test", 30), k=3, progress=False,
                       preprocessing=Preprocessing(mean=tuple(run.record["mean"]), std=tuple(run.record["std"])))
    pd.testing.assert_frame_equal(first.layers, expected.layers)
    assert first.about["run"] == run.name and first.about["classes"] == [str(n) for n in range(10)]
    assert first.about["data"] == "digits, test images" and "iframe" in first.explore().data
    for file in run.folder.glob("*.safetensors"):  # from now on without the network
        file.unlink()
    again = run_report(run, 30, k=3)
    pd.testing.assert_frame_equal(again.layers, first.layers)
    assert again.explore().data == first.explore().data and again.summary() == first.summary()
    assert run_report(at_epoch(run, 0), 30, k=3, compute=False) is None  # another network
