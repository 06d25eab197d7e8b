"""How the sources train: one recipe for each of their tables of hyperparameters.

A notebook's network is trained by the recipe of the figure that it stands for. Where a profile shortens it, only
epochs, width or image size change; what is left of a recipe is told by :func:`caption`.
"""

from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

from rrahelpers.data.image_set import has_canvas
from rrahelpers.training.augmentation import AUGMENTATIONS
from rrahelpers.training.config import RunConfig

KRIZHEVSKY = [[0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]]  # of CIFAR-10, printed in 8.3.1, 10.1 and 11.2
IMAGENET = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]  # 7.1
GREY = ("digits", "mnist", "fashion-mnist", "kmnist")  # one channel: normalised by their own mean and deviation

# The mirror image of a character is not that character; those written in grey have no colours to change.
STAC_AUGMENTATION = {**dict.fromkeys(("digits", "mnist", "kmnist"), ("crop", "rotation")),
                     "svhn": tuple(name for name in AUGMENTATIONS if name != "flip")}

STAC = "STAC paper, section 5"
_ADAM: dict[str, Any] = {"optimiser": "adam", "learning_rate": 1e-4, "schedule": "constant"}
_SGD: dict[str, Any] = {"schedule": "steps", "learning_rate": 0.1}
_CROPS: dict[str, Any] = {"augmentation": ("crop", "flip"), "normalisation": KRIZHEVSKY, "warmup": 0.0,
                          "weight_decay": 0.0}

# Of the dissertation: no weight decay, and every network initialised by its family's own Kaiming scheme (8.3.1).
RECIPES: dict[str, dict[str, Any]] = {
    STAC: {},  # RunConfig's own defaults
    "STAC paper, section 3.1": {"learning_rate": 0.01},  # of figure 4's networks; the rest as in section 5
    "dissertation 7.1": _CROPS | _ADAM
    | {"learning_rate": 1e-3, "batch_size": 64, "epochs": 30, "normalisation": IMAGENET},
    "dissertation, table 6": _CROPS | _SGD | {"step_epochs": 30, "batch_size": 64, "epochs": 90},
    "dissertation, table 7": _CROPS | _ADAM | {"batch_size": 128, "epochs": 30},
    "dissertation, table 8": _CROPS | _ADAM | {"batch_size": 64, "epochs": 30},
    "dissertation, table 9": _CROPS | _SGD | {"step_epochs": 20, "batch_size": 64, "epochs": 60,
                                              "augmentation": ("flip", "resized_crop")},
    "dissertation, table 11": _CROPS | _SGD | {"step_epochs": 20, "batch_size": 64, "epochs": 60},
    "dissertation, table 12": _CROPS | _ADAM | {"batch_size": 128, "epochs": 60},  # and 13
}

# Those that the figures of a notebook are trained by; shortened, some of all are one and the same.
OF_NOTEBOOK = {
    "04_pca_projection": ("dissertation 7.1",),
    "05_saturation": ("dissertation, table 7", "dissertation, table 8"),
    "06_probes": ("dissertation, table 6", "dissertation, table 11"),
    "07_tail_patterns": ("dissertation, table 8", "dissertation, table 9"),
    "08_receptive_field": ("dissertation, table 11", "dissertation, table 12"),
    "09_architecture_advice": ("dissertation, table 12", "dissertation, table 11"),
}
FREE = ("options", "image_size", "redraw_canvas", "limit", "epochs", "seed", "data_checksum")  # no recipe's business


def recipe(name: str, data: str, model: str, **changed: Any) -> RunConfig:
    """The configuration of a network on a data set by one of :data:`RECIPES`, with some fields of RunConfig
    ``changed``.

    With fewer epochs a schedule of steps is shortened in proportion. The dissertation augments at the data's own size
    and resizes afterwards (8.3.1), and draws an image's place on a canvas anew in every pass (9.2.1). Raises
    ``ValueError`` for an unknown recipe.
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; expected one of: {'; '.join(RECIPES)}")
    own = dict(RECIPES[name])
    if name.startswith("STAC"):
        own["augmentation"] = STAC_AUGMENTATION.get(data, AUGMENTATIONS)
    elif (size := changed.get("image_size")) is not None:
        own |= {"augment_first": True} | ({"redraw_canvas": True} if has_canvas(size) else {})
    if data in GREY:
        own.pop("normalisation", None)
    if "step_epochs" in own and "epochs" in changed:
        own["step_epochs"] = max(1, round(own["step_epochs"] * changed["epochs"] / own["epochs"]))
    return RunConfig(model, data, **{**own, **changed})


def follows(config: RunConfig, name: str) -> bool:
    """Whether a configuration is a recipe's, for its epochs and image size. Shortened recipes can be one and the
    same."""
    return config == _like(config, name)


def caption(config: RunConfig, names: Iterable[str] = tuple(RECIPES)) -> str:
    """Which of some recipes a configuration follows, and where it departs from it, in words: "dissertation, table 11
    (30 of 60 epochs)", "STAC paper, section 5 (15 of 100 epochs), but augmentation none".

    ``names``: those that are thought of, the first of those it is nearest to.
    """
    def departures(name):
        own, theirs = asdict(config), asdict(_like(config, name))
        return {field: value for field, value in own.items() if value != theirs[field]}

    nearest = min(names, key=lambda name: len(departures(name)))
    whole = recipe(nearest, config.data, config.model).epochs
    length = f"{config.epochs} epochs" if whole == config.epochs else f"{config.epochs} of {whole} epochs"
    told = [f"{field.replace('_', ' ')} {_spelled(value)}" for field, value in departures(nearest).items()]
    return f"{nearest} ({length})" + (f", but {', '.join(told)}" if told else "")


def _like(config, name):
    """The recipe's configuration for a configuration's model, data, size, epochs and seed."""
    free = {f.name: getattr(config, f.name) for f in fields(config) if f.name in FREE}
    return recipe(name, config.data, config.model, **free)


def _spelled(value):
    return " and ".join(value) or "none" if isinstance(value, tuple) else str(value)
