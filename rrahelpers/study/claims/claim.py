"""A statement of a source, and what this collection's tables say of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from rrahelpers.study.claims.tables import Missing, Tables

VERDICTS = ("agrees", "partly", "disagrees", "not measured", "not possible here")
KINDS = ("number", "ordering", "direction", "definition", "procedure", "slip")
UNREADABLE = "the table isn't as this claim reads it"
MARKS = re.compile(r"(figure|table|algorithm|listing)s? (\d+[a-e]?(?:(?:, | and | to )\d+[a-e]?)*)", re.IGNORECASE)


@dataclass(frozen=True)
class Verdict:
    """What was found of a claim.

    ``verdict``: one of :data:`VERDICTS`. ``why``: what decided it, in words. ``value`` and ``published``: what was
    measured, and what is printed or asked for, as text. ``low``, ``high``: a 95 % confidence interval over networks.
    ``networks``: how many. ``figures``: names of the tables that it was read from; ``data``, ``models`` with their
    widths, ``recipe``, ``epochs``: of the runs behind them, which is what may differ from the source's.
    """

    verdict: str
    why: str = ""
    value: str = ""
    published: str = ""
    low: float | None = None
    high: float | None = None
    networks: int = 0
    figures: tuple[str, ...] = ()
    data: str = ""
    models: str = ""
    recipe: str = ""
    epochs: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"expected one of {', '.join(VERDICTS)}, got {self.verdict!r}")


@dataclass(frozen=True)
class Check:
    """How a claim is decided: ``run`` takes :class:`Tables` and answers with a :class:`Verdict`. ``kind``: of claims
    that it decides, where they name none."""

    kind: str
    run: Callable[[Tables], Verdict]

    def decide(self, tables: Tables) -> Verdict:
        """What ``run`` answers; "not measured" where a table, a column or rows are missing or of another form."""
        try:
            return self.run(tables)
        except Missing as missing:
            return Verdict("not measured", why=str(missing))
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
            return Verdict("not measured", why=f"{UNREADABLE} ({', '.join(sorted(tables.used)) or 'no table'}): "
                                               f"{type(error).__name__} {error}")


@dataclass(frozen=True)
class Claim:
    """One statement of a source.

    ``id``: number of the source (000 STAC paper, 001 its summary, 002 lecture slides, 003 dissertation, 004 RRA thesis)
    and of the claim. ``place``: section, figure or table. ``statement``: in our words. ``note``: what a reader has to
    know of how it is checked here.
    """

    id: str
    source: str
    place: str
    statement: str
    check: Check
    kind: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", self.kind or self.check.kind)
        if self.kind not in KINDS:
            raise ValueError(f"claim {self.id}: expected one of {', '.join(KINDS)}, got {self.kind!r}")

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures and tables of the source that ``place`` names: "figure 57", "table 1"."""
        return marks(self.place)

    def about(self, item: str) -> bool:
        """Whether this claim is about ``item``: "57", "Figure 4a", "Figures 70 to 74", or a phrase of its place.

        A figure's parts belong to it: "figure 4" is about 4a and 4b, and what is said of the whole is of each part.
        """
        text = f"figure {item}" if item[:1].isdigit() else item
        wanted = marks(text)
        if not wanted:
            return item.lower() in self.place.lower()
        return any(ours == theirs or (ours.rstrip("abcde") == theirs.rstrip("abcde") and
                                      (not ours[-1].isalpha() or not theirs[-1].isalpha()))
                   for ours in self.figures for theirs in wanted)

    def decide(self, tables: Tables) -> Verdict:
        """The :class:`Verdict` by what ``tables`` (:class:`Tables`) hold; "not measured" where they lack something."""
        tables.used.clear()
        found = self.check.decide(tables)
        return replace(found, figures=tuple(sorted(tables.used)), **tables.origin(tables.used))


def entries(source: str, number: str) -> Callable[..., Claim]:
    """A function that makes the claims of one source: (id, place, statement, check, ``kind``, ``note``)."""
    return lambda id, place, statement, check, **more: Claim(f"{number}-{id}", source, place, statement, check, **more)


def marks(text: str) -> tuple[str, ...]:
    """The figures, tables and algorithms that a text names, one by one: "Figures 8 to 10" is three."""
    found = []
    for kind, numbers in MARKS.findall(text):
        for part in re.split(", | and ", numbers):
            first, _, last = part.partition(" to ")
            several = range(int(first), int(last) + 1) if last and last.isdigit() and first.isdigit() else [first]
            found += [f"{kind.lower()} {number}" for number in several]
    return tuple(dict.fromkeys(found))
