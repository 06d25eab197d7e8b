"""FLOPs and parameters of untrained networks, as the STAC paper's tables count them.

A network is a row of one of its tables: (table, label), or a label of table 1, whose 27 counts lie in its figure's
table; those of the others are counted here.
"""

from collections.abc import Callable

from rrahelpers.study import comparison, published
from rrahelpers.study.claims.claim import Check
from rrahelpers.study.claims.readings import Effect, Reading
from rrahelpers.study.claims.tables import Tables
from rrahelpers.study.claims.verbs import every, number

Network = str | tuple[int, str]  # see above


def as_printed(table: int, label: str | None = None) -> Check:
    """Every printed count of a table (of some rows) is what is counted."""
    rows = published.table(table)
    rows = rows if label is None else rows[rows.label == label]
    return every(*(number(_exact(counted(what, (table, row.label), row.data)), getattr(row, what))
                   for row in rows.itertuples() for what in ("flops", "params") if getattr(row, what)))


def ratio(what: str, network: Network, other: Network, data: str = "CIFAR10") -> Reading:
    """``what`` ("flops" or "params") of one network over another's."""
    ours, theirs = counted(what, network, data), counted(what, other, data)
    return _exact(lambda tables: ours(tables) / theirs(tables))


def more(network: Network, other: Network, data: str = "CIFAR10") -> Reading:
    """The share of FLOPs that one network needs beyond another's."""
    over = ratio("flops", network, other, data)
    return _exact(lambda tables: over(tables).value - 1)


def apart(what: str, network: Network, other: Network, data: str = "CIFAR10") -> Reading:
    """One network's count less another's."""
    ours, theirs = counted(what, network, data), counted(what, other, data)
    return _exact(lambda tables: ours(tables) - theirs(tables))


def counted(what: str, network: Network, data: str) -> Callable[[Tables], float]:
    """A function of :class:`rrahelpers.study.claims.tables.Tables` that answers with a network's count."""
    table, label = network if isinstance(network, tuple) else (1, network)
    if table == 1:
        column = f"counted_{what}"
        return lambda tables: tables.numbers("stac-table-1", column, who="counts", label=label,
            data=data)[column].iloc[0]
    rows = published.table(table)
    row = next(rows[(rows.label == label) & (rows["data"] == data)].itertuples())
    return lambda tables: getattr(comparison.count(row.model, row.options, row.image_size, row.num_classes), what)


def _exact(function):
    return lambda tables: Effect(float(function(tables)), exact=True)
