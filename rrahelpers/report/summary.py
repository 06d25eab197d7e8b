"""Five sentences on a network, each with a number of its report, and nothing that the numbers don't carry."""

import math

from rrahelpers.class_similarity import chance_similarity
from rrahelpers.report.findings import Findings


def sentences(report: Findings) -> list[str]:
    """Five texts: what was looked at, then what the measures say of it, those without numbers passed over."""
    table = report.layers[report.layers["layer"] != "input"]
    found = [_network(report, table), *filter(None, (
        tell(report, table) for tell in (_classes, _probes, _saturation, _borders, _neighbours, _dimension, _costs,
                                         _widest)))]
    return found[:5]


def _network(report, table):
    about = report.about
    own = "" if about["accuracy"] is None else f", of which it classifies {about['accuracy']:.1%} as labelled"
    return (f"{about['model']} has {_count(about['params'])} parameters; {len(table)} layers were looked at on "
            f"{about['images']} images ({about['data']}{own}).")


def _classes(report, table):
    if "input" not in set(report.layers["layer"]) or table["class_similarity"].notna().sum() == 0 or _one_class(report):
        return None
    best = table.loc[table["class_similarity"].idxmax()]
    start = report.layers.set_index("layer").loc["input", "class_similarity"]
    chance = chance_similarity(report.labels)
    pooled = "each map pooled to one number" if best["best_scale"] == "global" else f"scale {best['best_scale']}"
    scale = f" ({pooled})" if "x" in best["shape"] else ""
    return (f"Images of one class are nearest to each other in {best['layer']}: {best['class_similarity']:.1%} of a "
            f"sample's {report.about['k']} nearest neighbours share its class there{scale}, {start:.1%} among the "
            f"images themselves, {chance:.1%} by chance.")


def _probes(report, table):
    probes = table["probe"].dropna()
    if probes.empty:
        return None
    best = table.loc[probes.idxmax()]
    early = table.loc[(probes >= probes.max() - 0.01).idxmax()]
    after = len(table) - 1 - list(table.index).index(early.name)
    read = f"{best['probe']:.1%} of unseen images, {best['probe_train']:.1%} of those that it was fitted on"
    if early["layer"] == best["layer"]:
        return f"A linear probe reads the class best from {best['layer']}: {read}."
    return (f"A linear probe reads the class best from {best['layer']}: {read}; {early['layer']}, with {after} layers "
            f"behind it, is within one point of it on unseen ones ({early['probe']:.1%}).")


def _saturation(report, table):
    known = table.dropna(subset="saturation")
    if known.empty:
        return None
    average, inside = known["saturation"].mean(), known[known["in_tail"].fillna(False).astype(bool)]
    if inside.empty:
        return (f"Layers use {average:.1%} of their dimensions on average (saturation), and no run of three or more "
                "layers lies at half of the others' or below.")
    rest = known.drop(inside.index)["saturation"].mean()
    return (f"{len(inside)} of {len(known)} layers lie in a tail of low saturation, from {inside['layer'].iloc[0]} to "
            f"{inside['layer'].iloc[-1]}: they use {inside['saturation'].mean():.1%} of their dimensions, the others "
            f"{rest:.1%}.")


def _borders(report, table):
    if table["r_max"].isna().all() or table["productive"].isna().all():
        return None
    idle = table[~table["productive"].fillna(True).astype(bool)]
    side = "x".join(map(str, report.about["shape"][1:]))
    if idle.empty:
        shortest, longest = (int(table[column].max()) for column in ("r_min", "r_max"))
        reach = (f"the largest receptive field is {longest} pixels" if shortest == longest else
                 f"along the shortest paths receptive fields reach {shortest} pixels, along the longest {longest}")
        return f"At {side} pixels no layer lies behind the border layer: {reach}."
    cut = report.advice[report.advice["proposal"] == "truncate"] if len(report.advice) else report.advice
    saved = f", and a network that ends there saves {cut['flops_saved'].iloc[0]:.0%} of the FLOPs" \
        if len(cut) and not math.isnan(cut["flops_saved"].iloc[0]) else ""
    return (f"At {side} pixels {len(idle)} of {len(table)} layers see more than the whole image before they begin, "
            f"from {idle['layer'].iloc[0]} on{saved}.")


def _neighbours(report, table):
    known = table.dropna(subset="nnts_before")
    if known.empty:
        return None
    least = known.loc[known["nnts_before"].idxmin()]
    return (f"Neighbours change most in {least['layer']}, which keeps {least['nnts_before']:.1%} of those of the layer "
            "before.")


def _dimension(report, table):
    known = table[table["intrinsic_dimension"].map(math.isfinite)]
    if known.empty:
        return None
    most, last = known.loc[known["intrinsic_dimension"].idxmax()], known.iloc[-1]
    return (f"Intrinsic dimension is largest in {most['layer']} ({most['intrinsic_dimension']:.1f}) and "
            f"{last['intrinsic_dimension']:.1f} in {last['layer']}, the last layer.")


def _costs(report, table):
    known = table["flops"].dropna()
    if known.empty or not known.sum():
        return None
    most = table.loc[known.astype(float).idxmax()]
    return f"The costliest layer is {most['layer']} with {_count(most['flops'])} of {_count(known.sum())} FLOPs."


def _widest(report, table):
    most = table.loc[table["activation"].astype(float).idxmax()]
    return (f"The largest answer to an image is that of {most['layer']}: {most['shape']} numbers, "
            f"{most['activation'] / 1024:.4g} KiB.")


def _one_class(report):
    return report.labels is None or len(report.labels.unique()) < 2


def _count(number):
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g} {letter}"
    return f"{int(number)}"
