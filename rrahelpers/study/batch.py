"""Run the numbered notebooks headless (papermill) so that they write their figures anew.

A notebook is passed over while its source, parameters, the modules that it imports, data and trained runs are what they
were when its figures were begun. Executed copies, the note of what they were made from, and what their kernels wrote
beside lie in ``figures/<profile>/executed/``, which is not committed.
"""

import hashlib
import json
import math
import os
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tqdm.auto import tqdm

from rrahelpers import data
from rrahelpers.base.devices import cores_each
from rrahelpers.base.files import digest, project_root, write_json
from rrahelpers.study import dependencies, grids, notebooks, profiles
from rrahelpers.training import runs

CELL_TIMEOUT = 12 * 3600  # seconds; trainings are the longest cells, and go on where they were cut off
LAST_WORDS = 2000  # letters of what a kernel that died wrote


@dataclass
class Outcome:
    """What became of one notebook: "done", "unchanged" or "failed", with seconds, figures and the error's text."""

    notebook: str
    status: str
    seconds: float = 0.0
    figures: list[str] = field(default_factory=list)
    error: str = ""


def run_notebooks(profile: str, only: Sequence[str] = (), *, force: bool = False, jobs: int = 1,
                  cell_timeout: float = CELL_TIMEOUT) -> list[Outcome]:
    """Execute notebooks under a profile, each in a kernel of its own; one that fails leaves the others running.

    Parameters
    ----------
    profile: a profile's name (``notebooks/profiles``).
    only: beginnings of notebook names, such as "01"; empty for all.
    force: execute also what is unchanged.
    jobs: notebooks side by side; the cores are shared out among them.
    cell_timeout: seconds after which a cell that is still running fails its notebook; 0: never.

    Returns a list of :class:`Outcome`. Raises ``ValueError`` for an unknown profile, notebook or parameter, before
    anything runs. An interrupt starts no further notebook; those that run end with the process.
    """
    chosen = select(only)
    cores = cores_each(min(jobs, len(chosen)))
    given = {name: profiles.parameters(name, profile) for name in chosen}
    os.environ |= {variable: str(cores) for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    pool = ThreadPoolExecutor(jobs)
    with tqdm(total=len(chosen), desc=f"{profile} figures", unit="notebook") as bar:
        def one(name):
            outcome = _run(name, profile, given[name], force, cell_timeout)
            bar.update()
            if outcome.error:
                tqdm.write(outcome.error)
            return outcome

        try:
            return list(pool.map(one, chosen))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def select(only: Sequence[str]) -> list[str]:
    """The notebooks whose names begin with one of ``only``, in order; all for an empty ``only``."""
    names = notebooks.names()
    if unknown := [start for start in only if not any(name.startswith(start) for name in names)]:
        raise ValueError(f"no notebook begins with {', '.join(unknown)}; there are {', '.join(names)}")
    return [name for name in names if not only or name.startswith(tuple(only))]


def summary(outcomes: Sequence[Outcome]) -> str:
    """The table that ends a batch: notebook, status, time, figures."""
    width = max(len(outcome.notebook) for outcome in outcomes)
    return "\n".join(f"{o.notebook:<{width}}  {o.status:<9}  {o.seconds:7.1f} s  {', '.join(o.figures)}"
                     for o in outcomes)


def _run(name, profile, given, force, cell_timeout):
    from nbclient.exceptions import CellTimeoutError
    from papermill.exceptions import PapermillExecutionError

    start = time.perf_counter()
    try:
        return _executed(name, profile, given, force, cell_timeout)
    except PapermillExecutionError as error:
        sources = ["".join(cell["source"]) for cell in notebooks.read(name)["cells"]]
        number = sources.index(error.source) + 1 if error.source in sources else "edited since"
        text = f"FAILED {name}, cell {number}: {error.ename}: {error.evalue}\n{error.source}"
    except CellTimeoutError as error:
        text = f"FAILED {name}: {error}"
    except Exception:  # a kernel that died, a full disk, a damaged run: this notebook fails, the others still run
        text = f"FAILED {name}\n{traceback.format_exc()}{_last_words(name, profile)}"
    return Outcome(name, "failed", time.perf_counter() - start,
                   error=f"{text}\n(executed copy: {_copy(name, profile)})")


def _executed(name, profile, given, force, cell_timeout):
    import papermill

    from rrahelpers.study import kernels

    copy = _copy(name, profile)
    folder, note = copy.parent.parent, copy.with_suffix(".json")
    if not force and (previous := _unchanged(note, folder, name, profile, given)):
        return Outcome(name, "unchanged", figures=previous)
    note.unlink(missing_ok=True)  # from here on figures may be overwritten
    copy.parent.mkdir(parents=True, exist_ok=True)
    # what is edited or trained meanwhile is not in it
    source, trained = _source(name, given), _trained(name, profile, given)
    start, clock = time.time(), time.perf_counter()
    with kernels.quiet(copy.with_suffix(".log")) as kernel:
        papermill.execute_notebook(
            notebooks.folder() / f"{name}.ipynb", copy, given, kernel_name="python3", cwd=notebooks.folder(),
            progress_bar={"desc": name, "leave": False}, execution_timeout=math.ceil(cell_timeout), **kernel)
    figures = _written(folder, name, start)
    origins = [_provenance(folder, figure) for figure in figures]
    data_sets = list({data_set: None for origin in origins for data_set in origin["data"]})
    # by the notebook itself
    trained |= _trained(name, profile, given) & {run for origin in origins for run in origin["runs"]}
    write_json(note, {"key": _key(source, data_sets, trained), "data": data_sets, "figures": figures})
    return Outcome(name, "done", time.perf_counter() - clock, figures)


def _copy(name, profile):
    return project_root() / "figures" / profile / "executed" / f"{name}.ipynb"


def _last_words(name, profile):
    """The end of what the notebook's kernel wrote to its terminal: where it died, that says of what."""
    log = _copy(name, profile).with_suffix(".log")
    return "its kernel wrote:\n" + log.read_text("utf-8", "replace")[-LAST_WORDS:] if log.is_file() else ""


def _unchanged(note, folder, name, profile, given):
    """The figures of the last execution if they are there and nothing they depend on has changed, else None."""
    try:
        last = json.loads(note.read_text(encoding="utf-8"))
        same = last["key"] == _key(_source(name, given), last["data"], _trained(name, profile, given))
    except (OSError, ValueError, KeyError):
        return None
    complete = all((folder / f"{figure}.{ending}").exists() for figure in last["figures"]
                   for ending in ("png", "svg", "csv", "json"))
    return last["figures"] if same and complete else None


def _key(source, data_sets, trained):
    """What a notebook's figures depend on, as one hash."""
    return digest([source, [_checksum(data_set) for data_set in data_sets], sorted(trained)])


def _source(name, given):
    """Cells, parameters and the package code that the cells import, as one hash; not what the ledger imports."""
    whole = notebooks.read(name)["cells"]
    cells = [[cell["cell_type"], "".join(cell["source"])] for cell in whole]
    drawing = ["".join(cell["source"]) for cell in whole  # the ledger reads figures, and draws none
               if cell["cell_type"] == "code" and "claims" not in cell["metadata"].get("tags", [])]
    package = dependencies.FOLDER
    code = {path.relative_to(package).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in dependencies.code_files(drawing, package)}
    return digest([cells, given, code])


def _trained(name, profile, given):
    """The names of the finished runs of a notebook's grids: its own, and those that its parameter ``candidates``
    lists."""
    wanted = [grid for grid, (_, notebook) in grids.GRIDS.items() if notebook == name
              or grid in given.get("candidates", ())]
    return {run.name for grid in wanted for run in runs.finished(grids.grid(grid, profile)) if run}


def _checksum(data_set):
    try:
        return data.checksum(data_set, download=False)
    except data.DataError:  # a fresh clone draws from stored results, without the data
        return None


def _written(folder, name, since):
    return [path.stem for path in sorted(folder.glob("*.json"))
            if path.stat().st_mtime >= since - 1 and _provenance(folder, path.stem)["notebook"] == name]


def _provenance(folder, figure):
    return json.loads((folder / f"{figure}.json").read_text(encoding="utf-8"))
