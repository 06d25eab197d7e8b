"""The configuration of a training run, and the name that it gives the run."""

import json
import math
import re
from dataclasses import MISSING, asdict, dataclass, field, fields
from numbers import Real

from rrahelpers.base.files import digest
from rrahelpers.data.image_set import has_canvas, size_steps
from rrahelpers.training.augmentation import AUGMENTATIONS, KNOWN

OPTIMISERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "steps", "constant")
INITIALISATIONS = ("model", "kaiming")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a trained network; its hash names the run.

    Fields at their default don't enter the hash, so a field added later leaves the names of stored runs alone.
    For the same reason a default is never changed.
    """

    model: str
    data: str
    options: dict = field(default_factory=dict)  # of models.build, beyond num_classes and in_channels
    image_size: int | list | dict | None = None  # pixels, or steps as for data.load; None: the data's own
    # a new place on the canvas whenever an image is read (dissertation, 9.2.1), not one for each image
    redraw_canvas: bool = False
    limit: int | None = None  # training samples; None: all
    epochs: int = 100
    batch_size: int = 128
    optimiser: str = "sgd"  # or "adam", "adamw"
    learning_rate: float = 0.1  # at the peak
    momentum: float = 0.9  # of Adam: its first beta
    weight_decay: float = 1e-4
    schedule: str = "cosine"  # or "steps", "constant"; see optimisation.learning_rate
    warmup: float = 0.1  # linear, share of all steps (the paper's 10 of 100 epochs)
    final: float = 0.01  # the cosine ends at this share of the peak
    step_epochs: int | None = None  # of the schedule "steps": epochs between one tenfold fall and the next
    augmentation: tuple = AUGMENTATIONS
    augment_first: bool = False  # augment before images are resized (dissertation, 8.3.1), not after
    normalisation: list | None = None  # [mean, deviation], a number in [0, 1] for each channel; None: the data's own
    initialisation: str = "model"  # each family's own, or "kaiming" for the weights of every layer
    seed: int = 0
    data_checksum: str | None = None  # None: of the data found now; see training.train

    def __post_init__(self) -> None:
        for name in ("model", "data"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name}: expected a name, got {getattr(self, name)!r}")
        positive = {name: getattr(self, name) for name in ("epochs", "batch_size", "learning_rate")}
        if bad := {name: value for name, value in positive.items() if not _is_number(value) or value <= 0}:
            raise ValueError(f"expected positive values, got {bad}")
        whole = {name: getattr(self, name) for name in ("epochs", "batch_size", "seed", "limit")}
        if bad := {name: value for name, value in whole.items()
                   if type(value) is not int and (name, value) != ("limit", None)}:
            raise ValueError(f"expected whole numbers, got {bad}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be at least 1, got {self.limit}")
        # torch's generator on CPUs looks at 32 bits: a larger one gives a smaller one's network
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to {2**32 - 1}, got {self.seed}")
        numbers = {name: getattr(self, name) for name in ("momentum", "weight_decay", "warmup", "final")}
        if bad := {name: value for name, value in numbers.items() if not _is_number(value)}:
            raise ValueError(f"expected finite numbers, got {bad}")
        if not 0 <= self.momentum < 1 or self.weight_decay < 0:  # torch says so in the middle of a grid
            raise ValueError(f"expected momentum in [0, 1) and weight_decay from 0 on, got {self.momentum} and "
                             f"{self.weight_decay}")
        if not 0 <= self.warmup < 1 or not 0 <= self.final <= 1:
            raise ValueError(f"expected warmup in [0, 1) and final in [0, 1], got {self.warmup} and {self.final}")
        listed = isinstance(self.augmentation, (list, tuple))
        unknown = [name for name in self.augmentation if name not in KNOWN] if listed else self.augmentation
        if unknown or not listed:
            raise ValueError(f"unknown augmentation {unknown}; expected some of {KNOWN}, in a list")
        for name, known in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES), ("initialisation", INITIALISATIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}")
        if (self.schedule == "steps") != (self.step_epochs is not None):
            raise ValueError("step_epochs goes with the schedule 'steps', and that with step_epochs; "
                             f"got {self.schedule!r} and {self.step_epochs!r}")
        if self.step_epochs is not None and (type(self.step_epochs) is not int or self.step_epochs < 1):
            raise ValueError(f"expected step_epochs to be a positive whole number, got {self.step_epochs!r}")
        if bad := [name for name in ("augment_first", "redraw_canvas") if type(getattr(self, name)) is not bool]:
            raise ValueError(f"{bad[0]}: expected true or false, got {getattr(self, bad[0])!r}")
        if self.redraw_canvas and not has_canvas(self.image_size):
            raise ValueError(f"redraw_canvas needs an image_size with a canvas, got {self.image_size!r}")
        if self.normalisation is not None:
            object.__setattr__(self, "normalisation", _normalisation(self.normalisation))
        # one spelling for one configuration: 1 is 1.0, JSON has no tuples, the order of augmentations means nothing
        for name in ("learning_rate", "momentum", "weight_decay", "warmup", "final"):
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "augmentation", tuple(a for a in KNOWN if a in self.augmentation))
        object.__setattr__(self, "options", _options(self.options))
        if self.image_size is not None:
            steps = json.loads(json.dumps(size_steps(self.image_size)))
            object.__setattr__(self, "image_size", steps if len(steps) > 1 else steps[0])

    def as_dict(self) -> dict:
        """The fields that differ from their default, as JSON knows them."""
        defaults = {f.name: f.default_factory() if f.default is MISSING and f.default_factory is not MISSING
                    else f.default
                    for f in fields(self)}
        return json.loads(json.dumps({name: value for name, value in asdict(self).items() if value != defaults[name]}))

    @property
    def name(self) -> str:
        """The run's folder name. Raises ``ValueError`` before the data's checksum is known."""
        if self.data_checksum is None:
            raise ValueError("the run's name needs the data's checksum; use training.resolve(config)")
        return re.sub(r"[/\\:]", "-", f"{self.model}-{self.data}-{digest(self.as_dict())}")


def _is_number(value):
    """Whether this is a finite number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _options(given):
    """A model's options as JSON knows them."""
    if not isinstance(given, dict):
        raise ValueError(f"options: expected {{name: value}} of the model, got {given!r}")
    if taken := {"num_classes", "in_channels"} & set(given):
        raise ValueError(f"options: {' and '.join(sorted(taken))} can't be chosen, the data decide")
    try:
        return _plain(json.loads(json.dumps(given, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"options: expected what JSON can hold, got {given!r} ({error})") from error


def _normalisation(given):
    """[mean, deviation] as two lists of floats."""
    try:
        mean, deviation = ([float(x) for x in part] for part in given)
    except (TypeError, ValueError):
        mean, deviation = [], []
    if not mean or len(mean) != len(deviation) or not all(map(math.isfinite, mean)) or not all(0 < s < math.inf
                                                                                               for s in deviation):
        raise ValueError("normalisation: expected [mean, deviation] with a number for each channel, deviations above "
                         f"0; got {given!r}")
    return [mean, deviation]


def _plain(value):
    """JSON with every whole number spelled as one: 1.0 is 1."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
