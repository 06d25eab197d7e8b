"""A search over architectures that trains no network of which receptive fields tell that layers would be idle.

The dissertation leaves it to future work (chapter 12): to rule out what is predictably inefficient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch

from rrahelpers.advisor.candidates import Candidate, Space, candidates
from rrahelpers.training import RunConfig, resolve, train_until

COSTS = ("flops", "params", "memory")
CONFIDENCE = 0.95
ROUNDS = 3  # at most


def search(build: str, data: str, *, budget: float, space: Space | None = None, rule: bool = True, keep: int = 3,
           seeds: Sequence[int] = (0,), device: str | torch.device | None = None, deadline: float | None = None,
           **settings: Any) -> pd.DataFrame:
    """Change a network's depth, stem, width and image size, and train what is promising, by successive halving.

    Networks are drawn from ``space`` at random, the one as it is first. With ``rule``, those with idle layers are set
    aside untrained. The others are trained for a ninth of the epochs, the best third of them up to a third, and the
    best third of these to the end. Better is what no other beats in accuracy and all costs at once, and of these what
    is more accurate. Every training lies in the run store: the same call goes on where it was broken off.

    Accuracy is that on the test split, as everywhere in the sources; of many networks the best is a little too good.

    Parameters
    ----------
    build, data: names, as for :class:`rrahelpers.training.RunConfig`.
    budget: arithmetic that may be spent, in whole trainings of the network as it is: a training costs multiply-
        accumulates of an image x epochs. Each round has an equal part of it, and what the rounds before left over.
    space: see :class:`Space`.
    rule: whether networks with idle layers are ruled out; without it they are trained like others.
    keep: one of so many goes on to the next round, for so many times the epochs.
    seeds: of the trainings; the first also draws the candidates. What reaches the last round is trained with all.
    device, deadline: as for :func:`rrahelpers.training.train`.
    settings: further fields of ``RunConfig``: options, epochs, image_size, limit …

    Returns a row for each network drawn, in that order: the columns of :class:`Candidate` but for ``config``, and

    - ``ruled_out``: why it isn't trained, or "";
    - ``epochs`` trained; ``accuracy`` after them, in the last round the mean over ``seeds`` with its 95 % interval
      ``low`` to ``high`` (NaN for one seed), and ``seeds``, how many these are;
    - ``front``: trained to the end, and no other such network is as good or better in accuracy, multiply-accumulates,
      parameters and memory;
    - ``spent``: its part of the budget; ``seconds`` that its trainings took; ``run``: the name of the first seed's.

    Raises ``ValueError`` for a budget that is too small and where every network is ruled out, and what
    :func:`candidates` and :func:`rrahelpers.training.train` raise.
    """
    start = resolve(RunConfig(build, data, seed=seeds[0], **settings))
    rounds = _rounds(start.epochs, keep)
    lengths = [b - a for a, b in zip([0, *rounds], rounds)]  # epochs that each round trains
    lengths[-1] += start.epochs * (len(seeds) - 1)
    share = budget / len(rounds)
    if start.epochs * share < lengths[-1]:
        raise ValueError(f"a budget of {budget:g} trainings leaves {share:.2g} for the last of {len(rounds)} rounds; "
                         f"expected at least {len(rounds) * lengths[-1] / start.epochs:.2g}")
    configs, table = _drawn(start, space or Space(), rule, share, lengths)
    going = table.index[table["ruled_out"] == ""]
    for number, (epochs, length) in enumerate(zip(rounds, lengths)):
        last = number + 1 == len(rounds)
        for place in going:
            histories = [train_until(replace(configs[place], seed=seed), epochs, device=device, deadline=deadline)
                         for seed in (seeds if last else seeds[:1])]
            table.loc[place, ["accuracy", "low", "high"]] = interval([_accuracy(h, epochs) for h in histories])
            table.loc[place, ["epochs", "seeds"]] = epochs, len(histories)
            table.loc[place, "seconds"] = sum(row["seconds"] for history in histories for row in history[:epochs])
            table.loc[place, "spent"] += table["price"][place] * length
        if not last:
            left = share * (number + 2) - table["spent"].sum()
            going = _promoted(table.loc[going], keep, lengths[number + 1], left)
    table["front"] = False
    table.loc[going, "front"] = front(table.loc[going])
    return table.drop(columns="price")


def front(table: pd.DataFrame, costs: Sequence[str] = COSTS) -> pd.Series:
    """Which rows no other row beats: as good or better in ``accuracy`` and all ``costs``, and better in one of them.

    A row without an accuracy is never in front.
    """
    values = pd.concat([-table["accuracy"], table[list(costs)]], axis=1).astype(float).to_numpy()
    beaten = [bool(((values <= row).all(1) & (values < row).any(1)).any()) for row in values]
    return ~pd.Series(beaten, index=table.index) & table["accuracy"].notna()


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of some numbers with Student's 95 % interval; that is NaN for a single number."""
    from scipy.stats import t

    series = pd.Series(values, dtype=float)
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(series) - 1)) * float(series.sem()) if len(series) > 1 else math.nan
    mean = float(series.mean(skipna=False))
    return mean, mean - half, mean + half


def _rounds(epochs, keep):
    """After how many epochs each round ends: a third, a ninth … of all, as long as one is left."""
    found = [epochs]
    while found[0] > 1 and len(found) < ROUNDS:
        found.insert(0, max(1, round(found[0] / keep)))
    return found


def _drawn(start, space, rule, share, lengths):
    """Candidates' configurations and their table, until the first round's share of the budget is spent."""
    configs, rows, spent, unit = [], [], 0.0, 0.0
    for candidate in candidates(start, space, start.seed):
        unit = unit or candidate.flops * start.epochs
        why = candidate.fault or (_idle(candidate) if rule else "")
        price = candidate.flops / unit  # of an epoch
        if not why and price * lengths[-1] > share:
            why = "a training costs more than the last round has"
        if not why and (spent := spent + price * lengths[0]) > share:
            break
        configs.append(candidate.config)
        rows.append({**candidate.row(), "ruled_out": why, "epochs": 0, "accuracy": math.nan, "low": math.nan,
                     "high": math.nan, "seeds": 0, "spent": 0.0, "seconds": 0.0, "run": candidate.config.name,
                     "price": price})
    table = pd.DataFrame(rows).drop(columns="fault")
    if (table["ruled_out"] != "").all():
        raise ValueError(f"all {len(table)} networks are ruled out, the first because {table['ruled_out'][0]}; give a "
                         "larger space or budget, or rule=False")
    return configs, table


def _idle(candidate: Candidate) -> str:
    if not candidate.idle:
        return ""
    return (f"{candidate.idle} of {candidate.convolutions} convolutions get more than {candidate.image_size} pixels "
            "already")


def _promoted(table, keep, length, left):
    """The best rows of a round that the next one, of ``length`` more epochs, can pay for."""
    ranked = table.assign(front=front(table)).sort_values(["front", "accuracy"], ascending=False, kind="stable")
    going = []
    for place, price in ranked["price"][:math.ceil(len(ranked) / keep)].items():
        if price * length <= left * (1 + 1e-9):
            left -= price * length
            going.append(place)
    return going


def _accuracy(history, epochs):
    """On the test split after so many epochs; NaN where training diverged."""
    row = history[min(epochs, len(history)) - 1]
    return math.nan if row["loss"] is None else row["test_accuracy"]
