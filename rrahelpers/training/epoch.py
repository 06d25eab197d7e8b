"""One epoch of training and its evaluation.

The data stay on the device as bytes and are brought to size and augmented in batches. On CUDA, and on CPUs whose
bfloat16 units are faster than their float32, the forward pass runs in bfloat16 autocast; on CUDA it is compiled too.
(On two Zen 4 cores, ResNet20 trains 446 images/s plainly, 1,053 that way, and 1,040 compiled after 26 s of compilation:
so no compiling on CPUs. On one core of a Xeon with the units but without AMX it trains 368 images/s plainly, 270 in
bfloat16.)
"""

import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from rrahelpers.base.devices import bfloat16_pays, memory_format
from rrahelpers.training import optimisation
from rrahelpers.training.config import RunConfig
from rrahelpers.training.feed import ImageFeed
from rrahelpers.training.runs import normalise


class Trainer:
    """One epoch of training and evaluation at a time; an epoch's randomness depends on the seed and its number
    alone."""

    def __init__(self, config: RunConfig, model: nn.Module, optimiser: torch.optim.Optimizer,
                 feeds: dict[str, ImageFeed], labels: dict[str, torch.Tensor], mean: Sequence[float],
                 std: Sequence[float], device: torch.device) -> None:
        self.config, self.model, self.optimiser, self.device = config, model, optimiser, device
        self.feeds, self.labels, self.mean, self.std = feeds, labels, mean, std
        self.layout = memory_format(model)
        self.bfloat16 = bfloat16_pays(device)
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16)
        self.forward: Callable[[torch.Tensor], torch.Tensor] = model
        if device.type == "cuda":
            torch._dynamo.reset()  # else it gives up after eight variants of one class of networks
            self.forward = torch.compile(model, dynamic=False)
        self.batch = min(config.batch_size, len(feeds["train"]))
        self.steps = len(feeds["train"]) // self.batch  # the last, smaller batch is left out

    def epoch(self, epoch: int) -> dict[str, float]:
        start = time.perf_counter()
        labels = self.labels["train"]
        seed = self.config.seed * 1_000_003 + epoch
        generator = torch.Generator(self.device).manual_seed(seed)
        torch.manual_seed(seed)  # for dropout
        order = torch.randperm(len(labels), generator=generator, device=self.device)
        loss_sum, correct = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        self.model.train()
        forward = self.model if epoch + 1 == self.config.epochs else self.forward  # a tracker's hooks need the former
        bar = tqdm(range(self.steps), desc=f"epoch {epoch + 1}", unit="step", leave=False, mininterval=1)
        for step in bar:
            for group in self.optimiser.param_groups:
                group["lr"] = optimisation.learning_rate(self.config, epoch * self.steps + step, self.steps)
            chosen = order[step * self.batch:(step + 1) * self.batch]
            x = self.feeds["train"].augmented(chosen, generator)
            with self.autocast:
                logits = forward(self._prepare(x))
                if not isinstance(logits, torch.Tensor):
                    raise TypeError(f"{self.config.model} answers with {type(logits).__name__} in training mode; "
                                    "expected one tensor of logits. With auxiliary classifiers: give the option "
                                    "aux_logits: false")
                loss = F.cross_entropy(logits.float(), labels[chosen])
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            loss_sum += loss.detach()
            correct += (logits.detach().argmax(1) == labels[chosen]).sum()
        row = {"epoch": epoch + 1, "learning_rate": self.optimiser.param_groups[0]["lr"],
               "loss": loss_sum.item() / self.steps, "train_accuracy": correct.item() / (self.steps * self.batch)}
        return row | self.evaluate() | {"seconds": round(time.perf_counter() - start, 3), "bfloat16": self.bfloat16}

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Share of test images whose class is the likeliest, and (of more than five classes) among the five
        likeliest."""
        self.model.eval()
        correct, counted = {"test_accuracy": 0, "test_top5": 0}, 0
        for x in self.feeds["test"].batches():
            with self.autocast:
                logits = self.model(self._prepare(x))
            y = self.labels["test"][counted:counted + len(x), None]
            counted += len(x)
            hits = logits.topk(min(5, logits.shape[1])).indices == y
            correct["test_accuracy"] += hits[:, 0].sum().item()
            correct["test_top5"] += hits.sum().item()
        if logits.shape[1] <= 5:
            del correct["test_top5"]
        return {name: count / counted for name, count in correct.items()}

    def _prepare(self, x):
        return normalise(x, self.mean, self.std).contiguous(memory_format=self.layout)
