"""The ledger: every statement of the sources as a check on measured tables.

:data:`CLAIMS` has them all, in the order of the sources; :func:`decided` what the tables in the tree say of each.
"""

from collections.abc import Iterable
from importlib import import_module

from rrahelpers.study.claims.claim import KINDS, VERDICTS, Claim, Verdict, marks
from rrahelpers.study.claims.tables import Tables

__all__ = ["CHAPTERS", "CLAIMS", "KINDS", "VERDICTS", "Claim", "Tables", "Verdict", "decided", "marks"]

CHAPTERS = ("stac_curves", "stac_method", "stac_results", "stac_ablations", "stac_windows",
            "dissertation_2", "dissertation_6", "dissertation_7", "dissertation_7_tests",
            "dissertation_8", "dissertation_8_probes", "tails", "tails_appendices", "dissertation_9",
            "dissertation_9_heatmaps", "dissertation_10", "dissertation_11", "slides", "rra")
CLAIMS: tuple[Claim, ...] = tuple(claim for chapter in CHAPTERS
                                  for claim in import_module(f"{__name__}.{chapter}").CLAIMS)


def decided(tables: Tables | None = None, claims: Iterable[Claim] = CLAIMS) -> dict[Claim, Verdict]:
    """{claim: its :class:`Verdict`}. ``tables``: by default those of the study profile."""
    tables = tables or Tables()
    return {claim: claim.decide(tables) for claim in claims}
