"""Relevant eigenspaces: the smallest that cost a network no accuracy that a test could find (dissertation 7.4)."""

import pandas as pd

COLUMNS = ["delta", "networks", "difference", "low", "high", "std", "t", "p", "dimensions", "dimensions_std"]
VARIES = 1e-12  # deviation below which differences are equal but for rounding


def projection_tests(table: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """The accuracy that networks of one architecture lose in their eigenspaces, with a paired two-sided t-test.

    Every network is evaluated with and without its projection. The test asks whether the mean of the differences is 0,
    with n - 1 degrees of freedom: the printed t and p of tables 5 and 14 to 16 follow so from the printed means and
    deviations.

    Parameters
    ----------
    table: rows of :func:`rrahelpers.eigenspace.projected_accuracies` of several networks, with the column ``seed``.
        Random subspaces are left out.
    confidence: of the interval.

    Returns a row for each ``delta``, largest first: ``networks``; ``difference``, the mean loss as a fraction, with its
    interval ``low`` to ``high``; ``std`` of the differences (n - 1); ``t``, ``p``; ``dimensions`` of all layers
    together, with ``dimensions_std``. NaN is what a single network, or differences without variance, cannot tell.

    Raises ``ValueError`` for two rows of one threshold and seed: those of two architectures, for instance.
    """
    from scipy.stats import t as student

    own = table[table.subspace == "eigenspace"]
    if own.duplicated(["delta", "seed"]).any():
        raise ValueError("expected one row for each delta and seed, got several; give the networks of one architecture")
    rows = []
    for delta, part in own.groupby("delta"):
        n, mean, spread = len(part), part.difference.mean(), part.difference.std()
        error = spread / n**0.5 if spread > VARIES else float("nan")
        half = student.ppf((1 + confidence) / 2, n - 1) * error
        rows.append([delta, n, mean, mean - half, mean + half, spread, mean / error,
                     2 * student.sf(abs(mean / error), n - 1), part.dimensions.mean(), part.dimensions.std()])
    tests = pd.DataFrame(rows, columns=COLUMNS).astype({"delta": float})
    return tests.sort_values("delta", ascending=False, ignore_index=True)


def relevant_delta(tests: pd.DataFrame, alpha: float = 0.01, *, margin: float | None = None) -> float | None:
    """The smallest threshold from which on, up to the largest, the networks lose no accuracy; None if there is none.

    Parameters
    ----------
    tests: as of :func:`projection_tests`, or a published table with its columns.
    alpha: a loss counts if it is significant at this level (7.4.1). A gain is no loss, however significant.
    margin: a fraction. With it another question is asked: whether the interval's end ``high`` rules out losses above
        the margin. A few networks make hardly any loss significant, but they can't rule it out either.

    Where there is no p, or no interval (one network, say), every loss counts.
    """
    if margin is None:
        fine = (tests.p >= alpha) | (tests.difference <= 0)
    else:
        fine = (tests.high <= margin) | (tests.high.isna() & (tests.difference <= 0))
    found = tests.delta if fine.all() else tests.delta[tests.delta > tests.delta[~fine].max()]
    return found.min() if len(found) else None
