"""Reports of stored runs: what one call over a network of one's own gives, kept beside the run."""

from rrahelpers.base.devices import default_device
from rrahelpers.base.files import digest
from rrahelpers.report import Preprocessing, Report, analyse
from rrahelpers.training.runs import Run


def run_report(run: Run, samples: int | None, *, k: int = 10, compute: bool = True) -> Report | None:
    """The :class:`rrahelpers.report.Report` of a run's network on its first ``samples`` test images (None: all), with
    its explorer, page and comparison.

    Where the run's folder lacks it, it is made and stored (some MB for 2,000 images), or, without ``compute``, None is
    returned. ``report.json`` is written last: without it a folder is half a report, and written anew.
    """
    folder = run.folder / "results" / f"report-{digest(run.keyed({'samples': samples, 'k': k}))}"
    if (folder / "report.json").exists():
        return Report.load(folder)
    if not compute:
        return None
    how = Preprocessing(mean=tuple(run.record["mean"]), std=tuple(run.record["std"]))
    report = analyse(run.model(default_device()), run.images("test", samples), preprocessing=how, samples=None, k=k)
    report.about |= {"data": f"{run.config.data}, test images", "run": run.name}
    report.save(folder)
    return report
