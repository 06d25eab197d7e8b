"""What an epoch of training costs beside its convolutions alone, on one core.

    python benchmarks/training.py [NAME ...]

Networks of the study on CIFAR-10's 50,000 and 10,000 images of 32 pixels (here noise: the time doesn't depend on it).
An epoch is put together from single training steps and test batches, in processor time of one thread: by itself, and
with the memory that is set free kept by the process (``kept_buffers``, as ``train`` has it), in processes of their own
that take turns. Beside it the same convolutions, forwards and backwards, by themselves and in the same precision: the
rate that this processor has for them. Writes ``benchmarks/results/training.json`` and ``.md``; of some networks alone,
into ``results/quick``.
"""

import argparse
import contextlib
import multiprocessing
import time
from pathlib import Path
from statistics import median

import torch
from neighbors import machine, store
from torch import nn

from rrahelpers import models
from rrahelpers.base.devices import memory_format
from rrahelpers.base.memory import kept_buffers
from rrahelpers.study.recipes import recipe
from rrahelpers.training import optimisation
from rrahelpers.training.epoch import Trainer
from rrahelpers.training.feed import BATCH, ImageFeed

TRAIN, TEST, ROUNDS, STEPS = 50_000, 10_000, 3, 7
NETWORKS = {"resnet20": ("STAC paper, section 5", {}), "resnet18": ("dissertation, table 11", {"width": 0.5}),
            "vgg16": ("dissertation, table 8", {"width": 0.5}), "densenet18": ("dissertation, table 12", {})}
WAYS = {"plain": contextlib.nullcontext, "kept": kept_buffers}


def trainer(name):
    """The :class:`Trainer` of epochs with one step, tested on one batch."""
    source, options = NETWORKS[name]
    config = recipe(source, "cifar10", name, options=options, epochs=10**6, data_checksum="noise")
    images = torch.randint(0, 256, (max(BATCH, config.batch_size), 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(len(images)) % 10
    model = models.build(name, num_classes=10, in_channels=3, **options)
    model.to(memory_format=memory_format(model))
    feeds = {split: ImageFeed(images[:number], config, torch.device("cpu"))
             for split, number in (("train", config.batch_size), ("test", BATCH))}
    optimiser = optimisation.optimiser(config, model.parameters())
    return Trainer(config, model, optimiser, feeds, {"train": labels[:config.batch_size], "test": labels[:BATCH]},
                   [0.5] * 3, [0.25] * 3, torch.device("cpu"))


def processor_seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def epoch_parts(name, way):
    """Seconds of training steps and of test batches; in a process of its own."""
    torch.set_num_threads(1)
    one, steps, tests = trainer(name), [], []
    with WAYS[way]():
        one.epoch(0)  # what is set up is no part of an epoch
        for number in range(STEPS):
            both = processor_seconds(lambda: one.epoch(number))
            tests.append(processor_seconds(one.evaluate))
            steps.append(both - tests[-1])
    return steps, tests


def convolution_seconds(name):
    """Of an epoch's convolutions, each by itself; in a process of its own."""
    torch.set_num_threads(1)
    one = trainer(name)
    calls, hooks = [], contextlib.ExitStack()
    for layer in one.model.modules():
        if isinstance(layer, nn.Conv2d):
            hooks.callback(layer.register_forward_hook(
                lambda layer, given, answer: calls.append((layer, given[0].shape))).remove)
    with hooks, torch.no_grad():
        one.model.eval()(torch.zeros(1, 3, 32, 32))
    step = test = 0
    with kept_buffers(), one.autocast:
        for number, (layer, shape) in enumerate(calls):
            x = torch.randn(one.batch, *shape[1:]).to(memory_format=one.layout).requires_grad_(number > 0)
            gradient = torch.ones_like(layer(x))
            wanted = [part for part in (x, layer.weight) if part.requires_grad]
            step += median(processor_seconds(lambda: torch.autograd.grad(layer(x), wanted, gradient))
                           for _ in range(STEPS))
            with torch.no_grad():
                test += median(processor_seconds(lambda: layer(x)) for _ in range(STEPS))
    return TRAIN // one.batch * step + TEST / one.batch * test


def apart(function, *arguments):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def measured(name):
    found, batch = {way: ([], []) for way in WAYS}, trainer(name).batch
    for _ in range(ROUNDS):
        for way, both in found.items():
            for times, more in zip(both, apart(epoch_parts, name, way)):
                times += more
    ways = {way: {"step": median(steps), "test": median(tests)} for way, (steps, tests) in found.items()}
    for parts in ways.values():
        parts["epoch"] = TRAIN // batch * parts["step"] + TEST / BATCH * parts["test"]
    return {"batch": batch, "options": NETWORKS[name][1], "ways": ways,
            "convolutions": apart(convolution_seconds, name)}


def markdown(found):
    lines = ["# An epoch of training beside its convolutions", "",
             f"{found['machine']['text']}. One thread, processor time, CIFAR-10's numbers of images; medians of "
             f"{ROUNDS * STEPS} steps.", "",
             "| network | batch | epoch, plain (s) | buffers kept (s) | of plain | its tests, of plain | convolutions "
             "alone (s) | their share |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name, one in found["networks"].items():
        plain, kept = one["ways"]["plain"], one["ways"]["kept"]
        told = "".join(f", {key} {value}" for key, value in one["options"].items())
        lines.append(f"| {name}{told} | {one['batch']} | {plain['epoch']:.0f} | {kept['epoch']:.0f} | "
                     f"{kept['epoch'] / plain['epoch']:.3f} | {kept['test'] / plain['test']:.2f} | "
                     f"{one['convolutions']:.0f} | {one['convolutions'] / kept['epoch']:.0%} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NAME", help=f"some of {', '.join(NETWORKS)} (default: all)")
    names = parser.parse_args().networks or list(NETWORKS)
    folder = Path(__file__).parent / "results" / ("" if names == list(NETWORKS) else "quick")
    folder.mkdir(parents=True, exist_ok=True)
    found = {"machine": machine(), "networks": {}}
    for name in names:
        found["networks"][name] = measured(name)
        print(name, found["networks"][name], flush=True)
        store(folder / "training.json", found, markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
