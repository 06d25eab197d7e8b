"""Saving figures for a paper: PNG and SVG, the plotted numbers as CSV, and where they came from as JSON."""

import datetime
import json
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from rrahelpers import plots
from rrahelpers.base.files import atomic, project_root, write_json
from rrahelpers.base.provenance import commit, environment, libraries
from rrahelpers.data import checksum
from rrahelpers.study import notebooks, recipes
from rrahelpers.training.runs import Run

LETTERS = 18  # of a caption, on an inch
TITLES = {"digits": "digits", "cifar10": "CIFAR-10", "mnist": "MNIST", "tiny-imagenet-50": "Tiny-ImageNet-50"}
FAMILIES = {"resnet": "ResNet", "vgg": "VGG", "densenet": "DenseNet", "mpnet": "MPNet",
            "efficientnet_b": "EfficientNet-B"}

_context: dict[str, Any] = {}


def begin(notebook: str, namespace: Mapping[str, Any]) -> None:
    """Say which notebook the figures of this process belong to, and set the project's style for them.

    A notebook's first code cell after the parameters calls this. ``namespace`` is the notebook's ``globals()``: the
    values of its declared parameters are read from there, among them ``profile``, which names the figures' folder, and
    ``data_notes``, remarks on copies of data sets, by checksum, for the captions.
    """
    declared = notebooks.parameters(notebook)
    if "profile" not in declared:
        raise ValueError(f"notebook {notebook} declares no parameter 'profile'; it declares {', '.join(declared)}")
    plots.use_style()
    _context.clear()
    _context.update(notebook=notebook, parameters={name: namespace[name] for name in declared})


def save_figure(fig: Figure, name: str, *, data: pd.DataFrame, runs: Collection[Run] = (), source: str | None = None,
                data_sets: Iterable[str] | dict[str, str] = ()) -> Path:
    """Save a figure and where it came from under ``figures/<profile>/``.

    Parameters
    ----------
    fig: matplotlib figure. A caption with profile, data and number of seeds is set below it.
    name: file name without ending.
    data: DataFrame of the plotted numbers, written as ``<name>.csv``.
    runs: the trained runs (:class:`rrahelpers.training.runs.Run`) that the numbers come from; they name data and seeds.
    source: what the data are, where they come from no run (for instance "synthetic data, 20 draws").
    data_sets: names of those that were used beside the runs' own, or {name: checksum}; their checksums are noted.

    Returns the PNG's path. Raises ``RuntimeError`` before :func:`begin`, ``ValueError`` without runs and source, and
    ``OSError`` where it cannot write.
    """
    if not _context:
        raise RuntimeError("save_figure: call figures.begin(notebook, globals()) first; it names the folder and the "
                           "parameters")
    if not runs and not source:
        raise ValueError("save_figure: expected the runs that the numbers come from, or their source in words")
    profile = _context["parameters"]["profile"]
    folder = project_root() / "figures" / profile
    text = caption(runs, source)
    if fig.findobj(lambda artist: artist.get_label() == plots.BAND):
        text += f" · bands: {plots.BAND[1:]}"
    wrapped = textwrap.fill(text, int(LETTERS * fig.get_size_inches()[0]))
    fig.draw_without_rendering()  # lays it out
    lowest = min(0, fig.get_tightbbox().y0 / fig.get_size_inches()[1])  # a legend may reach below the figure
    for ending in ("png", "svg"):
        with atomic(folder / f"{name}.{ending}") as temporary, plt.rc_context({"svg.hashsalt": name,
                                                                               "svg.fonttype": "none"}):
            note = fig.text(0.01, lowest - 0.01, wrapped, fontsize=7, color="0.45", va="top")
            metadata = {"Date": None} if ending == "svg" else None
            fig.savefig(temporary, format=ending, bbox_inches="tight", dpi=160, metadata=metadata)
            note.remove()
    with atomic(folder / f"{name}.csv") as temporary:
        data.to_csv(temporary, index=False, float_format="%.8g")
    write_json(folder / f"{name}.json", {
        "notebook": _context["notebook"], "parameters": _context["parameters"], "caption": text,
        "runs": sorted(run.name for run in runs), "seeds": sorted({run.config.seed for run in runs}),
        "data": (dict(data_sets) if isinstance(data_sets, dict) else {name: checksum(name) for name in data_sets})
        | {run.config.data: run.config.data_checksum for run in runs},
        "libraries": libraries(), "environment": environment(), **commit(),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    })
    return folder / f"{name}.png"


def data_title(data_set: str) -> str:
    """What a data set is called in figures and tables."""
    return TITLES.get(data_set, data_set)


def network_title(model: str, options: dict) -> str:
    """What a network is called in figures and tables, its options told: "VGG16, width 1/4", "ResNet18, stem cifar"."""
    width = options.get("width", 1)
    family = model.rstrip("0123456789")
    name = FAMILIES.get(family, family.replace("_", " ")) + model[len(family):]
    told = [] if width == 1 else [f"width 1/{1 / width:g}" if width < 1 else f"width {width:g}"]
    return ", ".join([name, *told, *(f"{key} {value}" for key, value in options.items() if key != "width")])


def caption(runs: Collection[Run], source: str | None = None) -> str:
    """Profile, data, networks (up to three), seeds and recipes in one line, so that no figure can be taken for what it
    is not."""
    known = recipes.OF_NOTEBOOK.get(_context["notebook"], ())
    known += tuple(name for name in recipes.RECIPES if name not in known)
    parts = [f"profile {_context['parameters']['profile']}"]
    for data in dict.fromkeys(run.config.data for run in runs):
        chosen = [run for run in runs if run.config.data == data]
        by = dict.fromkeys(recipes.caption(run.config, known) for run in chosen)
        networks = {run.name: json.dumps(run.config.as_dict() | {"seed": None}, sort_keys=True) for run in chosen}
        seeds = sorted(set(Counter(networks.values()).values()))  # how many of a network, for each that is shown
        models = dict.fromkeys(network_title(run.config.model, {}) for run in chosen)
        told = f"{', '.join(models)}, " if len(models) <= 3 else ""
        note = _context["parameters"].get("data_notes", {}).get(chosen[0].config.data_checksum)
        title = data_title(data) + (f" ({note})" if note else "")
        parts.append(f"{title}: {told}{' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} "
                     f"seed{'s' * (seeds[-1] > 1)}, {'; '.join(by)}")
    if source:
        parts.append(source)
    return " · ".join(parts)
