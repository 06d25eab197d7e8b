"""The verbs in which claims are written; each makes a :class:`rrahelpers.study.claims.claim.Check`.

A difference is judged by its 95 % interval over networks: where that lies on one side of nothing it agrees or
disagrees; where it includes nothing, or one network gives no interval, the two are *not told apart*, and the verdict is
"partly", whatever the sign. What no training enters (counts, receptive fields) is exact.
"""

import inspect
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rrahelpers.study.claims.claim import Check, Verdict
from rrahelpers.study.claims.readings import Effect, Found, Numbers, Pattern, each, effect, unpaired
from rrahelpers.study.claims.tables import Missing, Tables
from rrahelpers.training.config import RunConfig

APART = "not told apart"
UNTRAINED = ("definition", "procedure")  # kinds of claims that no training decides
UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "%": 0.01, "": 1}
PRINTED = re.compile(r"([+-]?[\d.]+)([KMB%]?)(?: ± ([\d.]+)%?)?")


def number(found: Found, printed: str, *, of: int = 1) -> Check:
    """A printed number: "41.5M", "90.6 ± 0.2", "53.34%" (of 1).

    Agrees within half a unit of the last printed digit and, where a deviation over ``of`` networks is printed,
        twice the
    standard error that it gives the difference. Partly where the number lies outside and its interval doesn't.
    """
    if (match := PRINTED.fullmatch(printed)) is None:
        raise ValueError(f"expected a printed number such as '41.5M' or '90.6 ± 0.2', got {printed!r}")
    text, unit, deviation = match.groups()
    scale = UNITS[unit]
    half, target = 0.5 * 10 ** -len(text.partition(".")[2]) * scale, float(text) * scale

    def run(tables):
        ours = effect(found, tables)
        margin = half * (1 + 1e-9)
        if deviation:
            margin += 2 * float(deviation) * scale * (1 / of + 1 / max(ours.networks, 1)) ** 0.5
        low, high = ours.bounds if ours.known else (ours.value, ours.value)
        meets = low <= target + margin and high >= target - margin
        verdict = "agrees" if abs(ours.value - target) <= margin else "partly" if meets else "disagrees"
        return _verdict(verdict, ours, printed=printed, why=APART if verdict == "partly" else "")
    return Check("number", run)


def near(found: Found, printed: float, margin: float) -> Check:
    """A number that is printed as about (``printed``), within a ``margin`` that the source's words allow."""
    return _compare("number", found, lambda low, high: "agrees" if printed - margin <= low and high <= printed + margin
                    else "disagrees" if high < printed - margin or low > printed + margin else "partly",
                    printed=f"{printed:g} ± {margin:g}", alone=False)


def rises(found: Found, by: float = 0.0, *, kind: str = "direction") -> Check:
    """A difference (or trend) that is larger than ``by``."""
    return _compare(kind, found, lambda low, high: "agrees" if low > by else "disagrees" if high < by else "partly",
                    printed=f"> {by:g}")


def falls(found: Found, by: float = 0.0, *, kind: str = "direction") -> Check:
    """A difference (or trend) that is smaller than ``by``."""
    return _compare(kind, found, lambda low, high: "agrees" if high < by else "disagrees" if low > by else "partly",
                    printed=f"< {by:g}")


def differs(found: Found, *, kind: str = "direction") -> Check:
    """A difference whatever its sign: no difference lies outside its interval."""
    return _compare(kind, found, lambda low, high: "agrees" if low > 0 or high < 0 else "partly", printed="not 0")


def within(found: Found, bound: float, *, kind: str = "direction") -> Check:
    """A difference of at most ``bound`` either way: "the same", "negligible"."""
    return _compare(kind, found, lambda low, high: "agrees" if -bound <= low and high <= bound
                    else "disagrees" if low > bound or high < -bound else "partly", printed=f"within ± {bound:g}")


def above(first: Numbers, second: Numbers, by: float = 0.0) -> Check:
    """``first`` is larger than ``second`` (both :class:`Numbers`, of different networks) by more than ``by``."""
    return rises(unpaired(first, second), by, kind="ordering")


def descending(*numbers: Numbers) -> Check:
    """Each of some :class:`Numbers` of different networks is above the next."""
    return every(*(above(a, b) for a, b in zip(numbers, numbers[1:])))


def equals(found: Callable[[Tables], Any], expected: object, *, kind: str = "number") -> Check:
    """A layer, a place or a whole number: :class:`Numbers`, an :class:`Effect` or a function that answers with one
    value. Agrees where each network has it, partly where some do; one trained network is not told apart (a definition
    or a procedure is no matter of training)."""
    def run(tables):
        got = found(tables)
        values = [got.value] if isinstance(got, Effect) else list(got) if isinstance(found, Numbers) else [got]
        right = sum(v == expected for v in values)
        told = ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
        networks = len(values) if isinstance(found, Numbers) else 0
        return _counted(right, len(values), alone=networks == 1 and kind not in UNTRAINED, value=told,
                        published=str(expected), networks=networks)
    return Check(kind, run)


def shows(figure: str, pattern: Pattern, by: str = "seed", *, kind: str = "direction", **where: Any) -> Check:
    """What a curve looks like: ``pattern`` of each network's rows, True or False. One network is not told apart."""
    def run(tables):
        found = each(figure, pattern, by, **where)(tables)
        right = int(found.sum())
        return _counted(right, len(found), alone=len(found) < 2, value=f"{right} of {len(found)} networks",
                        networks=len(found))
    return Check(kind, run)


def every(*checks: Check, kind: str | None = None) -> Check:
    """All of some checks: agrees where all do, disagrees where some do and none agrees, partly in between."""
    def run(tables):
        found = [check.decide(tables) for check in checks]
        counts = Counter(v.verdict for v in found)
        decided = [v for v in found if not v.verdict.startswith("not ")]
        if not decided:
            return found[0]
        verdict = ("agrees" if counts["agrees"] == len(found) else
                   "disagrees" if counts["disagrees"] and not counts["agrees"] else "partly")
        told = "; ".join(f"{n} of {len(found)} {name}" for name, n in counts.items()) if len(found) > 1 else ""
        odd = [v.why for v in found if v.why and v.verdict != "agrees"]
        return Verdict(verdict, why=". ".join(dict.fromkeys([told, *odd][:3])).strip(". "),
                       value=" | ".join(v.value for v in found[:8]) + (" | …" if len(found) > 8 else ""),
                       published=" | ".join(dict.fromkeys(v.published for v in found if v.published)),
                       networks=max(v.networks for v in decided), low=found[0].low if len(found) == 1 else None,
                       high=found[0].high if len(found) == 1 else None)
    return Check(kind or checks[0].kind, run)


def holds(function: Callable[[], object], why: str = "", *, kind: str = "definition") -> Check:
    """A property of the code, tried: ``function`` takes nothing and answers True or False. ``why``: what differs where
    it doesn't hold."""
    def run(tables):
        right = bool(function())
        return Verdict("agrees" if right else "disagrees", why="" if right else why)
    return Check(kind, run)


def takes(function: Callable, *names: str, why: str = "") -> Check:
    """A choice that the source's program offers is offered here: ``function`` has parameters of these names."""
    def run(tables):
        missing = sorted(set(names) - set(inspect.signature(function).parameters))
        verdict = "agrees" if not missing else "partly" if len(missing) < len(names) else "disagrees"
        lacks = f"{function.__name__} has no {', '.join(missing)}" if missing else ""
        return Verdict(verdict, why=". ".join(part for part in (lacks, why if missing else "") if part))
    return Check("procedure", run)


def trained_as(figure: str, *, networks: int | None = None, only: Callable[[RunConfig], bool] = lambda config: True,
               **fields: Any) -> Check:
    """The networks of a figure were trained with these values of RunConfig; ``networks``: so many of each; ``only``:
    which of them it is about."""
    def run(tables):
        configs = [config for config in tables.configs(figure) if only(config)]
        tables.used.add(figure)
        if not configs:
            return Verdict("not measured", why=f"the store has no such runs of {figure}")
        differ = [f"{name} {_told(found)} (printed {wanted})" for name, wanted in fields.items()
                  if (found := {_plain(getattr(config, name)) for config in configs}) != {_plain(wanted)}]
        most = max(Counter(str(replace(config, seed=0)) for config in configs).values())
        if networks and most < networks:
            differ.append(f"{most} networks of each at most (printed {networks})")
        return replace(_procedure(differ, len(fields) + bool(networks)), networks=len(configs))
    return Check("procedure", run)


def set_as(figure: str, **parameters: Any) -> Check:
    """The notebook that drew a figure had these values of its parameters."""
    def run(tables):
        tables.read(figure)
        told = tables.provenance(figure).get("parameters", {})
        if missing := sorted(set(parameters) - set(told)):
            raise Missing(f"{figure}.json has no parameter {', '.join(missing)}")
        return _procedure([f"{name} {told[name]} (printed {wanted})" for name, wanted in parameters.items()
                           if told[name] != wanted], len(parameters))
    return Check("procedure", run)


def not_measured(needs: str, kind: str) -> Check:
    """Nothing was measured; ``needs``: what it would take."""
    return Check(kind, lambda tables: Verdict("not measured", why=needs))


def not_possible(needs: str, kind: str) -> Check:
    """It can't be measured here; ``needs``: what is not at hand."""
    return Check(kind, lambda tables: Verdict("not possible here", why=needs))


def stated(verdict: str, why: str, kind: str) -> Check:
    """A verdict about a procedure or a definition that no table and no line of code can be asked about."""
    return Check(kind, lambda tables: Verdict(verdict, why=why))


def _compare(kind, found, decide, printed="", alone=True):
    def run(tables):
        ours = effect(found, tables)
        if not ours.known and alone:
            return _verdict("partly", ours, printed=printed, why=f"{APART}: one network has no interval")
        low, high = ours.bounds if ours.known else (ours.value, ours.value)
        verdict = decide(low, high)
        return _verdict(verdict, ours, printed=printed, why=APART if verdict == "partly" else "")
    return Check(kind, run)


def _verdict(verdict, ours, *, printed, why=""):
    low, high = (None, None) if math.isnan(ours.low) else (ours.low, ours.high)
    return Verdict(verdict, why=why, value=f"{ours.value:.5g}", published=ours.printed or printed, low=low, high=high,
                   networks=ours.networks)


def _counted(right, of, *, alone, **told):
    """The verdict where so many ``of`` the networks show something; ``alone``: it is one trained network."""
    verdict = "partly" if alone else "agrees" if right == of else "partly" if right else "disagrees"
    does = "shows" if right else "doesn't show"
    return Verdict(verdict, why=f"{APART}: one network, which {does} it" if alone else "", **told)


def _procedure(differ, asked):
    """The verdict on a procedure of which so many of the things that are ``asked`` differ."""
    return Verdict("agrees" if not differ else "partly" if len(differ) < asked else "disagrees", why="; ".join(differ))


def _plain(value):
    """As text, whatever the order of a list."""
    return ", ".join(sorted(map(str, value))) if isinstance(value, (list, tuple)) else str(value)


def _told(values):
    return " or ".join(sorted(values))
