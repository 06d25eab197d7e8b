"""Places in a network where it can be changed, read from its table of :func:`rrahelpers.receptive_field`."""

import pandas as pd
from torch import nn

STEM = 2  # layers: the first two that down-sample (section 11.4)


def stem(table: pd.DataFrame) -> list[str]:
    """The first layers that down-sample, before any branch: all that was seen before, they see, and all later ones
    too."""
    earlier = table["r_max"].cummax().shift(fill_value=1)
    later = table["r_min_in"][::-1].cummin()[::-1].shift(-1, fill_value=table["r_max"].max())
    single = table[(earlier <= table["r_min_in"]) & (table["r_max"] <= later) & (table["path"] == "main")]
    strided = single[single["stride"].str.contains(r"(?:^|x)(?:[2-9]|\d\d)") & ~single["layer"].str.endswith("()")]
    return list(strided["layer"].drop_duplicates()[:STEM])


def meetings(table: pd.DataFrame) -> list[str]:
    """Convolutions, but the first, before which all paths of the network meet."""
    convolution = table["kernel"].ne("") & ~table["type"].str.contains("Pool")  # of any class
    places = table[table["passage"] & (table["path"] == "main") & convolution & (table["r_max_in"] > 1)]
    return places.drop_duplicates(["r_min_in", "r_max_in"])["layer"].tolist()  # parallel paths begin together


def ends(table: pd.DataFrame, count: int) -> list[str]:
    """``count`` of the :func:`meetings` before which a network can end: evenly spread over all but the first quarter,
    where hardly a network would be left."""
    layers = meetings(table)
    layers = layers[len(layers) // 4:]
    count = min(count, len(layers))
    return [layers[place * len(layers) // count] for place in range(count)]


def shortcuts(table: pd.DataFrame, model: nn.Module) -> dict[str, str]:
    """Where shortcuts of He et al. 2016 fit into a sequence: {earlier layer: later layer}, each adding what the earlier
    gets to what the later does, around two convolutions that keep channels and size, or a single one that is left.
    """
    windows = table[(table["kernel"] != "") & ~table["layer"].str.endswith("()") & table["sides"].ne("")]
    layers, sides = windows["layer"].tolist(), windows["sides"].tolist()
    known = dict(model.named_modules())

    def keeps(place):
        layer = known.get(layers[place])
        return (isinstance(layer, nn.Conv2d) and layer.in_channels == layer.out_channels and place > 0
                and sides[place] == sides[place - 1])

    found, place = {}, 0
    while place < len(layers) - 1:
        if not keeps(place):
            place += 1
            continue
        length = 2 if place + 2 < len(layers) and keeps(place + 1) else 1
        found[layers[place]] = layers[place + length]
        place += length
    return found
