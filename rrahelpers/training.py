"""Training by a flat recipe, resumable at every epoch, stored once.

SGD with momentum, linear warm-up, cosine decay (STAC paper, sections 3.1 and 5). The data stay on the device as
bytes and are augmented in batches. On CUDA, and on CPUs with bfloat16 units, the forward pass runs in bfloat16
autocast and channels-last; on CUDA it is compiled too. (On two Zen 4 cores, ResNet20 trains 446 images/s plainly,
1,053 that way, and 1,040 compiled after 26 s of compilation: so no compiling on CPUs.)
"""

import math
import time
import warnings
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from rrahelpers import checkpoints, data, models, preflight
from rrahelpers.augmentation import augment
from rrahelpers.devices import bfloat16_units, default_device
from rrahelpers.files import digest, write_json
from rrahelpers.provenance import environment
from rrahelpers.runs import FORMAT, Run, RunConfig, RunError, find, normalise, save_weights, store_root

__all__ = ["RunConfig", "train", "train_all", "resolve", "Interrupted"]

EVALUATION_BATCH = 500


class Interrupted(Exception):
    """Training stopped before its last epoch (time budget, or another process has the run); nothing done is lost."""


def resolve(config):
    """``config`` with the data's checksum, of the data found here. Raises ``DataError`` where there are none."""
    return config if config.data_checksum else replace(config, data_checksum=data.checksum(config.data))


def train(config, *, device=None, deadline=None, wait=True):
    """Train a network, or load it where it is stored already, or go on where training was cut off.

    Parameters
    ----------
    config: :class:`RunConfig`. Where it has no data checksum and the data are missing, a stored run that agrees in
        everything else is returned.
    device: default CUDA where there is one.
    deadline: ``time.monotonic()`` after which no further epoch is begun if it would not be done by then, going by the
        last one: the first is begun in any case before the deadline.
    wait: whether to wait (until the deadline) for another process that trains the same run, or to raise
        :class:`Interrupted` at once.

    Returns the finished :class:`rrahelpers.runs.Run`. Raises :class:`Interrupted` at the deadline, ``ValueError`` and
    ``TypeError`` for a network that can't be built, ``DataError`` for data that it can't be trained on, ``RunError``
    where its folder can't be written.
    """
    models.check(config.model)
    try:
        config = resolve(config)
    except data.DataError:
        if (run := find(config)) is None:
            raise
        return run
    if run := find(config):
        return run
    preflight.check_network(config)
    folder = store_root() / config.name
    folder.mkdir(parents=True, exist_ok=True)
    patience = 0 if not wait else -1 if deadline is None else max(0, deadline - time.monotonic())  # -1: no end
    try:
        with FileLock(folder / ".lock", timeout=patience):
            return find(config) or _train(config, folder, torch.device(device or default_device()), deadline)
    except Timeout:
        raise Interrupted(f"another process trains {folder.name}") from None


def train_all(configs, *, executor=None, **options):
    """Train several networks: one after the other, or on the workers of an executor.

    Parameters
    ----------
    configs: list of :class:`RunConfig`.
    executor: with the interface of ``concurrent.futures``: a process pool, a Dask client's ``get_executor()``. Its workers
        must find the data (``RRA_DATA``) and share the run store (``RRA_RUNS``).
    options: as for :func:`train`.

    Yields, in order, for each configuration its finished run, or the :class:`Interrupted`, ``DataError``, ``RunError`` or
    ``torch.OutOfMemoryError`` that kept it from being finished: the others are still worth training. Raises what
    :func:`rrahelpers.preflight.check_network` does, before any is trained.
    """
    for config in {(config.model, str(config.options)): config for config in configs}.values():
        preflight.check_network(config)
    return (executor.map if executor else map)(partial(_attempt, **options), configs)


def _attempt(config, **options):
    try:
        return train(config, **options)
    except (Interrupted, data.DataError, RunError, torch.OutOfMemoryError) as reason:
        return reason


def _train(config, folder, device, deadline):
    sets = {"train": data.load(config.data, "train", limit=config.limit, image_size=config.image_size),
            "test": data.load(config.data, "test", image_size=config.image_size)}
    if (found := digest([sets[split].checksum for split in data.SPLITS])) != config.data_checksum:
        raise data.DataError(f"{config.data} has the checksum {found} here, {config.data_checksum} was asked for; "
                             "leave data_checksum out to train on the data found, or bring the other data")
    preflight.check_splits(config.data, sets)
    mean, std = sets["train"].statistics()
    build = {**config.options, "num_classes": len(sets["train"].classes)}
    if config.model in models.FAMILIES:
        build["in_channels"] = sets["train"].images.shape[1]
    torch.manual_seed(config.seed)
    model = models.build(config.model, **build).to(device, memory_format=torch.channels_last)
    preflight.check_forward(model, config, normalise(sets["test"].images[:1].to(device), mean, std))
    optimiser = torch.optim.SGD(model.parameters(), config.learning_rate, config.momentum, weight_decay=config.weight_decay)
    for leftover in folder.glob("*.tmp"):  # of processes that were killed while they wrote
        leftover.unlink()
    history = checkpoints.restore(folder, model, optimiser, device)

    trainer = _Trainer(config, model, optimiser, sets, mean, std, device)
    bar = tqdm(total=config.epochs, initial=len(history), desc=folder.name, unit="epoch")
    status = "complete"
    with bar:
        for epoch in range(len(history), config.epochs):
            expected = history[-1]["seconds"] if history else 0
            if deadline is not None and time.monotonic() + expected > deadline:
                raise Interrupted(f"{folder.name}: time is up after {epoch} of {config.epochs} epochs; they are kept in {folder}")
            row = trainer.epoch(epoch)
            history.append(row)
            bar.update()
            if not math.isfinite(row["loss"]):
                status, row["loss"] = "diverged", None
                warnings.warn(f"{folder.name}: the loss is not finite in epoch {epoch + 1}; the run is stored as diverged", stacklevel=2)
                break
            bar.set_postfix(loss=f"{row['loss']:.3f}", test=f"{row['test_accuracy']:.3f}")
            with checkpoints.writing(folder):
                checkpoints.save(folder, model, optimiser, history)

    record = {
        "format": FORMAT, "status": status, "config": config.as_dict(), "build": build, "mean": mean, "std": std,
        "samples": {split: len(s) for split, s in sets.items()}, "source": sets["train"].source,
        "environment": environment(), "history": history,
    }
    with checkpoints.writing(folder):
        save_weights(folder, {name: tensor.cpu() for name, tensor in model.state_dict().items()})
        write_json(folder / "record.json", record)
    checkpoints.remove(folder)
    return Run(folder)


class _Trainer:
    """One epoch of training and evaluation at a time; an epoch's randomness depends on the seed and its number alone."""

    def __init__(self, config, model, optimiser, sets, mean, std, device):
        self.config, self.model, self.optimiser, self.device = config, model, optimiser, device
        self.mean, self.std = mean, std
        self.sets = {split: (s.images.to(device), s.labels.to(device)) for split, s in sets.items()}
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_units(device))
        self.forward = model
        if device.type == "cuda":
            torch._dynamo.reset()  # else it gives up after eight variants of one class of networks
            self.forward = torch.compile(model, dynamic=False)
        self.batch = min(config.batch_size, len(sets["train"]))
        self.steps = len(sets["train"]) // self.batch  # the last, smaller batch is left out

    def epoch(self, epoch):
        start = time.perf_counter()
        images, labels = self.sets["train"]
        seed = self.config.seed * 1_000_003 + epoch
        generator = torch.Generator(self.device).manual_seed(seed)
        torch.manual_seed(seed)  # for dropout
        order = torch.randperm(len(labels), generator=generator, device=self.device)
        loss_sum, correct = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        self.model.train()
        bar = tqdm(range(self.steps), desc=f"epoch {epoch + 1}", unit="step", leave=False, mininterval=1)
        for step in bar:
            for group in self.optimiser.param_groups:
                group["lr"] = self.learning_rate(epoch * self.steps + step)
            chosen = order[step * self.batch:(step + 1) * self.batch]
            x = augment(images[chosen], self.config.augmentation, generator)
            with self.autocast:
                logits = self.forward(self._prepare(x))
                if not isinstance(logits, torch.Tensor):
                    raise TypeError(f"{self.config.model} answers with {type(logits).__name__} in training mode; expected one tensor "
                                    "of logits. With auxiliary classifiers: give the option aux_logits: false")
                loss = F.cross_entropy(logits.float(), labels[chosen])
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            loss_sum += loss.detach()
            correct += (logits.detach().argmax(1) == labels[chosen]).sum()
        return {"epoch": epoch + 1, "learning_rate": self.optimiser.param_groups[0]["lr"],
                "loss": loss_sum.item() / self.steps, "train_accuracy": correct.item() / (self.steps * self.batch),
                "test_accuracy": self.evaluate(), "seconds": round(time.perf_counter() - start, 3)}

    def learning_rate(self, step):
        """Linear warm-up over the first share ``warmup`` of all steps, then a cosine down to ``final`` of the peak."""
        c = self.config
        total = c.epochs * self.steps
        warm = int(c.warmup * total)
        if step < warm:
            return c.learning_rate * (step + 1) / warm
        progress = (step - warm) / max(1, total - 1 - warm)
        return c.learning_rate * (c.final + (1 - c.final) * (1 + math.cos(math.pi * progress)) / 2)

    @torch.no_grad()
    def evaluate(self):
        """Share of test images classified correctly."""
        images, labels = self.sets["test"]
        self.model.eval()
        correct = 0
        for x, y in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH)):
            with self.autocast:
                correct += (self.model(self._prepare(x)).argmax(1) == y).sum().item()
        return correct / len(labels)

    def _prepare(self, x):
        return normalise(x, self.mean, self.std).contiguous(memory_format=torch.channels_last)
