"""Optimisers and the course of the learning rate, as a run's configuration names them."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from rrahelpers.training.config import RunConfig


def optimiser(config: RunConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of a :class:`RunConfig` for ``parameters``.

    ``momentum`` is the first beta of Adam and AdamW; the second is 0.999 and epsilon 1e-8 (dissertation, tables 2, 7,
    8, 12 and 13). ``weight_decay`` is added to the gradient, but for AdamW, where it shrinks the weights.
    """
    if config.optimiser == "sgd":
        return torch.optim.SGD(parameters, config.learning_rate, config.momentum, weight_decay=config.weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimiser]
    return kind(parameters, config.learning_rate, (config.momentum, 0.999), 1e-8, config.weight_decay)


def learning_rate(config: RunConfig, step: int, steps: int) -> float:
    """The rate at ``step`` (from 0) of a training of ``config.epochs`` epochs of ``steps`` steps.

    It rises linearly over the first share ``warmup`` of all steps. Then "cosine" falls to the share ``final`` of the
    peak (STAC paper, sections 3.1 and 5), "steps" takes a tenth after every ``step_epochs`` epochs (dissertation,
    tables 6, 9 and 11; counted from the first epoch), and "constant" stays.
    """
    total = config.epochs * steps
    warm = int(config.warmup * total)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    if config.schedule == "constant":
        return config.learning_rate
    if config.step_epochs is not None:  # the schedule "steps"
        return config.learning_rate * 0.1 ** (step // (steps * config.step_epochs))
    progress = (step - warm) / max(1, total - 1 - warm)
    return config.learning_rate * (config.final + (1 - config.final) * (1 + math.cos(math.pi * progress)) / 2)


def kaiming(model: nn.Module) -> None:
    """Draw the weights of every convolutional and linear layer anew as He et al. 2015 do; biases are zero."""
    for module in model.modules():
        if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
