"""Which networks the notebooks need, in the order in which they are worth training.

A grid is a function from a notebook's parameters to a list of :class:`RunConfig`. Notebook and command line call the
same function with the same profile (``notebooks/profiles/``), so that what ``train --grid`` trains is what the
notebook finds.
"""

import inspect

import yaml

from rrahelpers import notebooks
from rrahelpers.augmentation import AUGMENTATIONS
from rrahelpers.runs import RunConfig

# Mirror images and other colours of a digit are not that digit.
DATA_AUGMENTATION = {"digits": ("crop", "rotation"), "mnist": ("crop", "rotation")}


def recipe(data, model="resnet20", **fields):
    """The STAC paper's recipe (sections 3.1 and 5) for a network on a data set, with ``fields`` of RunConfig changed."""
    return RunConfig(model, data, **{"augmentation": DATA_AUGMENTATION.get(data, AUGMENTATIONS), **fields})


def classrepsim(data_sets, image_sizes, epochs, seeds, learning_rate, train_limit):
    """ResNet20 on each data set (STAC paper, section 3.1), seed by seed."""
    return [recipe(data, epochs=epochs, seed=seed, learning_rate=learning_rate, image_size=image_size, limit=train_limit)
            for seed in range(seeds) for data, image_size in zip(data_sets, image_sizes, strict=True)]


GRIDS = {"classrepsim": (classrepsim, "01_classrepsim")}


def profile_names():
    return sorted(path.stem for path in _profiles().glob("*.yaml"))


def profile(name):
    """A profile: {"all": parameters of every notebook that has them, "<notebook>": its own}."""
    path = _profiles() / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"unknown profile {name!r}; expected one of {', '.join(profile_names())}")
    return yaml.safe_load(path.read_text())


def grid(name, profile_name):
    """The configurations of a grid under a profile: its notebook's defaults, changed by the profile."""
    if name not in GRIDS:
        raise ValueError(f"unknown grid {name!r}; expected one of {', '.join(GRIDS)}")
    function, notebook = GRIDS[name]
    own = profile(profile_name).get(notebook, {})
    notebooks.check_parameters(notebook, own)
    parameters = {**notebooks.parameters(notebook), **own}
    return function(**{key: parameters[key] for key in inspect.signature(function).parameters})


def _profiles():
    return notebooks.folder() / "profiles"
