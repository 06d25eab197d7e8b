"""What the prediction of idle layers saves a search over architectures: the same budget with the rule and without it.

The dissertation's chapter 12 hopes for it. Both arms draw the same networks in the same order; the one with the rule
passes over those of which receptive fields tell that layers would be idle, and so comes to others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from rrahelpers.advisor import Space, front, search
from rrahelpers.advisor.searching import interval
from rrahelpers.study.recipes import recipe
from rrahelpers.study.significance import sample, welch
from rrahelpers.study.stored import stored_for
from rrahelpers.training.tables import stored_table

# title: model, its options, budget in whole trainings. Without its stem ResNet34 costs 15 times as much.
NETWORKS = {"VGG19": ("vgg19", {}, 6.0), "ResNet34": ("resnet34", {"stem": "imagenet"}, 20.0)}
ARMS = {True: "with the rule", False: "without it"}
RECIPE = "dissertation 7.1"  # learns fast enough for a few epochs: Adam with 1e-3
SETTINGS = {"width": 0.25, "image_size": 32, "limit": 20000, "epochs": 10}


def arms(networks: Sequence[str] = tuple(NETWORKS), data_set: str = "cifar10", seeds: int = 3, *,
         compute: bool = False, device: str | None = None, deadline: float | None = None, budgets: dict | None = None,
         space: Space | None = None, **settings: Any) -> pd.DataFrame:
    """The tables of :func:`rrahelpers.advisor.search` of each network, arm and seed, one below the other.

    Parameters
    ----------
    networks: titles of :data:`NETWORKS`.
    seeds: searches of each arm; a seed draws the networks and begins their trainings.
    compute: whether to search where the store lacks a table, which takes hours; otherwise only stored ones are read.
    device, deadline: as for :func:`rrahelpers.training.train`, whose ``Interrupted`` is raised; what was trained is
        kept, and the same call goes on.
    budgets: {title: budget} other than those of :data:`NETWORKS`; ``space``, ``settings``: others than the search's own
        and :data:`SETTINGS`.

    Returns the columns of ``search`` behind ``network``, ``arm`` (a value of :data:`ARMS`) and ``seed``; no row where
    nothing is stored.
    """
    tables, folder = [], stored_for(data_set, "search")
    for network in networks:
        model, options, budget = NETWORKS[network]
        chosen = SETTINGS | settings
        config = recipe(RECIPE, data_set, model, options=options | {"width": chosen.pop("width")}, **chosen)
        fields = {name: value for name, value in asdict(config).items()
                  if name not in ("model", "data", "seed", "data_checksum")}
        asked = {"model": model, "budget": (budgets or {}).get(network, budget), "config": config.as_dict(),
                 "space": asdict(space or Space())}
        for seed in range(seeds):
            for rule, arm in ARMS.items():
                def searched():
                    return search(model, data_set, budget=asked["budget"], space=space, rule=rule, seeds=(seed,),
                                  device=device, deadline=deadline, **fields)

                parameters = asked | {"rule": rule, "seed": seed}
                table = stored_table(folder, "search", parameters, searched if compute else None)
                if table is not None:  # an empty reason is a missing one in a stored table
                    tables.append(table.assign(network=network, arm=arm, seed=seed,
                                               ruled_out=table["ruled_out"].fillna("")))
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["network", "arm", "seed"])
    return found[["network", "arm", "seed", *(name for name in found if name not in ("network", "arm", "seed"))]]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """What each arm came to, a row for each network and arm of :func:`arms`.

    ``drawn`` networks, those ``ruled_out`` (by the rule, or since a training costs too much) and ``trained`` ones, and
    ``spent`` trainings, means over seeds; ``on_idle``: share of what was spent that went into networks with idle
    layers, which the rule saves, the mean over seeds with its interval ``on_idle_low`` to ``on_idle_high``;
    ``accuracy``: of the best network trained to the end, likewise with ``low`` and ``high``; ``gain``: how much more
    the arm with the rule has, ``gain_low`` to ``gain_high`` (Welch).
    """
    rows = []
    for (network, arm), part in table.groupby(["network", "arm"], sort=False):
        best = _best(part)
        idle, idle_low, idle_high = interval(_on_idle(part))
        mean, low, high = interval(best)
        count = part["seed"].nunique()
        rows.append({"network": network, "arm": arm, "seeds": count, "drawn": len(part) / count,
                     "ruled_out": (part["ruled_out"] != "").sum() / count,
                     "trained": (part["epochs"] > 0).sum() / count, "spent": part["spent"].sum() / count,
                     "on_idle": idle, "on_idle_low": idle_low, "on_idle_high": idle_high,
                     "accuracy": mean, "low": low, "high": high})
        other = _best(table[(table["network"] == network) & (table["arm"] == ARMS[False])])
        if arm == ARMS[True] and len(other):
            gain = welch(sample(best), sample(other))
            rows[-1] |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
    return pd.DataFrame(rows)


def fronts(table: pd.DataFrame) -> pd.DataFrame:
    """The networks that :func:`arms` trained to the end, over all seeds of an arm together, a row for each.

    ``network``, ``arm``, ``ends``, ``stem``, ``width``, ``image_size``, ``flops``, ``params``, ``memory``, ``idle``;
    ``accuracy`` with ``low``, ``high`` and ``seeds`` (those that came to it); ``front``, of the network's arm.
    """
    keys = ["network", "arm", "ends", "stem", "width", "image_size", "flops", "params", "memory", "idle"]
    if table.empty:
        return pd.DataFrame(columns=[*keys, "accuracy", "low", "high", "seeds", "front"])
    rows = [dict(zip([*keys, "accuracy", "low", "high", "seeds"], [*key, *interval(part["accuracy"]), len(part)]))
            for key, part in _finished(table).groupby(keys, sort=False, dropna=False)]
    found = pd.DataFrame(rows)
    found["front"] = pd.concat([front(part) for _, part in found.groupby(["network", "arm"])])
    return found


def _finished(table):
    return table[table["epochs"] == table.groupby("network")["epochs"].transform("max")]


def _on_idle(part):
    """Share of each seed's spending that went into networks with idle layers."""
    return [own["spent"][own["idle"] > 0].sum() / own["spent"].sum() for _, own in part.groupby("seed")]


def _best(part):
    """Highest accuracy of each seed's search."""
    return _finished(part).groupby("seed")["accuracy"].max().tolist()
