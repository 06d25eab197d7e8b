"""Choosing STAC's pooling windows, stage by stage (STAC paper, section 6.4, table 5).

Both choices take measurements and return one window for each stage; nothing here trains or draws.
"""

import pandas as pd


def class_similarity_by_window(table: pd.DataFrame) -> pd.DataFrame:
    """Mean class similarity of each stage's layers, seeds together, by pooling window.

    Parameters
    ----------
    table: as of :func:`rrahelpers.class_similarity.classrepsim`, for one network or several of one architecture. The
        outputs of the blocks ("stages.0.0" and so on) count, the stem, the pooled layer and the logits don't.

    Returns a table: index ``stage`` (from 1), a column for each window in places of the stage's map, NaN where it
    doesn't fit. A window as large as the map and the global window are the same and are one column, the map's side.
    Raises ``ValueError`` without blocks, or without the scale "1", whose ``side`` is the map's.
    """
    blocks = table[table.layer.str.startswith("stages.")].reset_index(drop=True)
    if blocks.empty or "1" not in set(blocks.scale):
        raise ValueError("expected layers named stages.<stage>.<block> at several scales, the scale '1' among them; "
                         f"got layers {sorted(set(table.layer))[:5]} at scales {sorted(set(table.scale))}")
    stage = blocks.layer.str.split(".").str[1].astype(int) + 1
    side = stage.map(blocks[blocks.scale == "1"].groupby(stage).side.first())
    window = blocks.scale.replace("global", str(2**31)).astype(int).clip(upper=side)
    return blocks.assign(stage=stage, window=window).groupby(["stage", "window"]).value.mean().unstack("window")


def maximum_class_similarity(table: pd.DataFrame) -> tuple[int, ...]:
    """The window of highest mean class similarity for each stage: a tuple of integers.

    ``table`` as for :func:`class_similarity_by_window`. Equal values go to the larger window, which costs less.
    """
    return _best(class_similarity_by_window(table))


def greedy(table: pd.DataFrame) -> tuple[int, ...]:
    """The window of highest accuracy for each stage, where each network had attention in that stage alone: a tuple.

    ``table``: columns stage, window, accuracy, a row for each network; accuracies are averaged over seeds. Equal
    values go to the larger window, which costs less.
    """
    return _best(table.groupby(["stage", "window"]).accuracy.mean().unstack("window"))


def _best(means):
    backwards = means[sorted(means.columns, reverse=True)]  # idxmax takes the first of equal values
    return tuple(int(window) for window in backwards.idxmax(axis=1).sort_index())
