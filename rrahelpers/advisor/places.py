"""Places in a network where it can be changed, read from its table of :func:`rrahelpers.receptive_field`."""

import pandas as pd

STEM = 2  # layers: the first two that down-sample (section 11.4)


def stem(table: pd.DataFrame) -> list[str]:
    """The first layers that down-sample, before any branch: all that was seen before, they see, and all later ones
    too."""
    earlier = table["r_max"].cummax().shift(fill_value=1)
    later = table["r_min_in"][::-1].cummin()[::-1].shift(-1, fill_value=table["r_max"].max())
    single = table[(earlier <= table["r_min_in"]) & (table["r_max"] <= later) & (table["path"] == "main")]
    strided = single[single["stride"].str.contains(r"(?:^|x)(?:[2-9]|\d\d)") & ~single["layer"].str.endswith("()")]
    return list(strided["layer"].drop_duplicates()[:STEM])


def ends(table: pd.DataFrame, count: int) -> list[str]:
    """``count`` convolutions before which a network can end, as all its paths meet there: evenly spread over all but
    the first quarter of such places, where hardly a network would be left."""
    places = table[table["passage"] & (table["path"] == "main") & (table["type"] == "Conv2d") & (table["r_max_in"] > 1)]
    layers = places.drop_duplicates(["r_min_in", "r_max_in"])["layer"].tolist()  # parallel paths begin together
    layers = layers[len(layers) // 4:]
    count = min(count, len(layers))
    return [layers[place * len(layers) // count] for place in range(count)]
