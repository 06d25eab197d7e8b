"""The networks of the notebooks on receptive fields and architecture advice: the dissertation's chapters 9 to 11."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn

from rrahelpers import models
from rrahelpers.models.multipath import MPBlock
from rrahelpers.receptive_field import border_layer, receptive_fields
from rrahelpers.study.grids.recipes import Plan, RecipeOf, distinct, seed_by_seed, seeded
from rrahelpers.training.config import RunConfig

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageSize, InputSize

ATTENTION = {"SE": "se", "spatial": "spatial", "CBAM": "cbam"}  # figure 57
VGG = ("VGG11", "VGG13", "VGG16", "VGG19")
NARROW = {f"{name}, 1/8 width": (name.lower(), {"width": 1 / 8}) for name in VGG}  # appendix F.1
RESNET18 = {"ResNet18": {}, "ResNet18, no shortcuts": {"skip": False}}
# model and options of each network, in the order in which they are worth training: the most telling, then by cost
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "VGG16": ("vgg16", {}),
    **{name: ("resnet18", options) for name, options in RESNET18.items()},
    "ResNet34": ("resnet34", {"stem": "imagenet"}),
    **{name: (name.lower(), {}) for name in ("VGG11", "VGG13", "VGG19")},
    **{f"{name}, {kind}": ("resnet18", {"attention": attention, **options})
       for (name, options), (kind, attention) in product(RESNET18.items(), ATTENTION.items())},
    **NARROW,
    "DenseNet18": ("densenet18", {}),
    "DenseNet65": ("densenet65", {}),
    "MPNet18": ("mpnet18", {}),
    "MPNet36": ("mpnet36", {}),
    "VGG19, dilation 3": ("vgg19", {"dilation": 3}),
    "ResNet18, CIFAR stem": ("resnet18", {"stem": "cifar"}),
    "ResNet34, CIFAR stem": ("resnet34", {"stem": "cifar", "paper": "he"}),
}
STEMLESS = ("ResNet18, CIFAR stem", "ResNet34, CIFAR stem")  # section 11.4
CHAPTER_10 = (*(label for label in NETWORKS if label.startswith("ResNet18") and label not in STEMLESS), "ResNet34",
              "MPNet18", "MPNet36")  # figures 57 to 60
CHAPTER_9 = tuple(label for label in NETWORKS if label in RESNET18 or label == "ResNet34" or label not in CHAPTER_10)
ELSEWHERE = ("VGG11", "VGG16")  # the networks of figure 83, on another data set
CHAPTERS = {9: "dissertation, table 11", 10: "dissertation, table 12", 11: "dissertation, table 12"}  # by chapter
TRUNCATED = (*VGG, "ResNet18", "ResNet34", "MPNet18", "MPNet36")  # figure 64


def receptive_field(plan: Plan, data_set: str, image_size: ImageSize | None, other_data_set: str,
                    other_image_size: ImageSize | None, seeds: int, widths: Mapping[str, float],
                    networks: Collection[str] | None) -> list[RunConfig]:
    """Every network of chapters 9 and 10 and of appendix F, seed by seed; see :func:`chapter_cells`."""
    tables = chapter_cells(plan, data_set, image_size, other_data_set, other_image_size, seeds, widths, networks)
    return distinct(seed_by_seed(pd.concat(tables.values())))


def chapter_cells(plan: Plan, data_set: str, image_size: ImageSize | None, other_data_set: str,
                  other_image_size: ImageSize | None, seeds: int, widths: Mapping[str, float],
                  networks: Collection[str] | None) -> dict[int | str, pd.DataFrame]:
    """:func:`architecture_cells` by the chapter whose recipe they follow: 9 (and its appendix F), 10, and "elsewhere",
    chapter 9's on another data set."""
    groups: dict[int | str, tuple[RecipeOf, Sequence[str]]] = {
              9: (plan.of(CHAPTERS[9], data_set, image_size), CHAPTER_9),
              10: (plan.of(CHAPTERS[10], data_set, image_size), CHAPTER_10),
              "elsewhere": (plan.of(CHAPTERS[9], other_data_set, other_image_size), ELSEWHERE)}
    return {where: architecture_cells(*group, seeds, widths, networks) for where, group in groups.items()}


def advice(plan: Plan, data_set: str, image_size: ImageSize | None, input_size: InputSize, seeds: int,
           widths: Mapping[str, float], networks: Collection[str] | None, wide_data_set: str,
           wide_image_size: ImageSize | None, wide_factors: Iterable[float], tail_data_set: str,
           tail_image_size: ImageSize | None, tail_factors: Iterable[float]) -> list[RunConfig]:
    """Networks whole and truncated (figures 64 and 65), without their stem, and of several widths (61 to 63)."""
    main = plan.of(CHAPTERS[11], data_set, image_size)
    return distinct(seed_by_seed(pd.concat([
        truncation_cells(main, input_size, seeds, widths, networks),
        width_cells(plan.of(CHAPTERS[11], tail_data_set, tail_image_size), "VGG16", tail_factors, seeds),
        width_cells(plan.of(CHAPTERS[11], wide_data_set, wide_image_size), "ResNet18", wide_factors, seeds),
        stemless_cells(plan, data_set, image_size, seeds, widths, networks)])))


def stemless_cells(plan: Plan, data_set: str, image_size: ImageSize | None, seeds: int, widths: Mapping[str, float],
                   networks: Collection[str] | None) -> pd.DataFrame:
    """The networks without a stem that section 11.4 takes from chapter 9."""
    return architecture_cells(plan.of(CHAPTERS[9], data_set, image_size), STEMLESS, seeds, widths, networks)


def architecture_cells(recipe_of: RecipeOf, labels: Sequence[str], seeds: int, widths: Mapping[str, float],
                       wanted: Collection[str] | None = None) -> pd.DataFrame:
    """Networks of :data:`NETWORKS` by their labels, with their configurations: label, model, options, configs.

    ``widths``: {label or family ("vgg", "resnet", "mpnet", "densenet"): factor of all channels}, for networks that have
    none of their own. ``wanted``: labels of those that are trained, None for all; the others have no configurations.
    """
    if unknown := {*labels, *(wanted or ())} - set(NETWORKS):
        raise ValueError(f"unknown networks {sorted(unknown)}; expected some of: {'; '.join(NETWORKS)}")
    families = sorted({_family(label) for label in NETWORKS})
    if unknown := set(widths) - {*families, *NETWORKS}:
        raise ValueError(f"widths for unknown families or networks {sorted(unknown)}; expected some of "
                         f"{', '.join(families)}; {'; '.join(NETWORKS)}")
    rows = []
    for label in labels:
        model, options = NETWORKS[label]
        width = widths.get(label, widths.get(_family(label), 1))
        options = ({"width": width} if width != 1 else {}) | options
        count = seeds if wanted is None or label in wanted else 0
        rows.append((label, model, options, seeded(recipe_of, model, options, count)))
    return pd.DataFrame(rows, columns=["label", "model", "options", "configs"])


def truncation_cells(recipe_of: RecipeOf, input_size: InputSize, seeds: int, widths: Mapping[str, float],
                     wanted: Collection[str] | None = None) -> pd.DataFrame:
    """The networks of figure 64, each whole and, in the row after, cut before its tail: those columns and ``at``.

    ``at``: the layer before which it is cut, see :func:`tail_begin`; "" where it is whole. Others as above. Networks
    without a tail at ``input_size`` are left out; raises ``ValueError`` where none has one.
    """
    rows = []
    for row in architecture_cells(recipe_of, TRUNCATED, seeds, widths, wanted).itertuples(index=False):
        if at := tail_begin(untrained(row.label), input_size):
            cut = row.options | {"truncate_at": at}
            configs = seeded(recipe_of, row.model, cut, len(row.configs))
            rows += [{**row._asdict(), "at": ""}, {**row._asdict(), "at": at, "options": cut, "configs": configs}]
    if not rows:
        raise ValueError(f"no network has a tail at {input_size}x{input_size} pixels, so there is nothing to cut off; "
                         "choose a smaller input_size")
    return pd.DataFrame(rows)


def width_cells(recipe_of: RecipeOf, label: str, factors: Iterable[float], seeds: int) -> pd.DataFrame:
    """One network at several widths: label, factor, model, options, configs."""
    return pd.concat([architecture_cells(recipe_of, [label], seeds, {_family(label): factor}).assign(factor=factor)
                      for factor in factors], ignore_index=True)


def untrained(label: str, **options: Any) -> nn.Module:
    """A network of :data:`NETWORKS` at the sources' width on the device "meta", without weights."""
    model, own = NETWORKS[label]
    with torch.device("meta"):
        return models.build(model, **own, **options)


def tail_begin(model: nn.Module, input_size: InputSize) -> str | None:
    """The layer before which to cut a network's tail off: its border layer b_min, or None where it has no tail.

    In an MPNet, whose paths come together between its blocks alone, it is the first layer of the block in which b_min
    of the path of smallest receptive fields lies.
    """
    table = receptive_fields(model, input_size)
    paths = getattr(model, "paths", {"min": table.layer})
    border = border_layer(table[table.layer.isin(paths["min"])], input_size)
    for name, block in model.named_modules():
        if isinstance(block, MPBlock) and border is not None and border.startswith(f"{name}."):
            return next(f"{name}.{inner}" for inner, layer in block.named_modules() if isinstance(layer, nn.Conv2d))
    return border


def _family(label):
    return NETWORKS[label][0].rstrip("0123456789")
