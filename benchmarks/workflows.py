"""What a user waits for, as processes of their own: the import, the board of claims, all figures, all tests.

    python benchmarks/workflows.py [--commits COMMIT ...] [--only NAME ...]

Each commit (default: the present one) is cloned into a folder of its own, where nothing but what is committed is at
hand: no data set, no figure drawn here. Imports are medians of 7 interleaved runs, the rest is run once. Seconds on the
clock and of the processor, children included. Writes ``benchmarks/results/workflows.json`` and ``.md``, where each
processor has a table; a row that was measured again replaces the old one.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from neighbors import machine, store, stored

HERE, IMPORTS = Path(__file__).parent, 7
BESIDE = "import torch, numpy, pandas"
WORKFLOWS = {BESIDE: ["-c", BESIDE],
             "import rrahelpers": ["-c", f"{BESIDE}, rrahelpers"],
             "python -m rrahelpers claims": ["-m", "rrahelpers", "claims"],
             "make figures": ["-m", "rrahelpers", "figures", "--force"],
             "make test": ["-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile"]}


def timed(name, folder):
    """Seconds on the clock and of the processor that a workflow takes in a clone, and its exit status."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RRA_")}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *WORKFLOWS[name]], cwd=folder, env=inherited | {"PYTHONPATH": str(folder)},
                          capture_output=True, text=True, encoding="utf-8")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = time.perf_counter() - start
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
    return {"seconds": seconds, "status": done.returncode,
            "processor": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def git(*words, folder=HERE):
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True,
                          encoding="utf-8").stdout.strip()


def measured(commit, folder, names):
    """Yield {"commit", "workflow", seconds …} of one workflow after the other."""
    git("clone", "--quiet", HERE.parent, folder)
    git("checkout", "--quiet", commit, folder=folder)
    light = [name for name in names if "import" in name]
    turns = [{name: timed(name, folder) for name in light} for _ in range(IMPORTS)]
    for name in names:
        found = ({key: median(turn[name][key] for turn in turns) for key in turns[0][name]} if name in light
                 else timed(name, folder))
        yield {"commit": commit[:7], "workflow": name, **found}


def markdown(results):
    lines = ["# What a user waits for", "", "In a fresh clone, without data sets.", ""]
    for processor, result in results.items():
        lines += [f"## {processor}", "", result["machine"] + ".", "",
                  "| workflow | commit | seconds | of the processor | exit status |", "| --- | --- | --- | --- | --- |"]
        lines += [f"| `{row['workflow']}` | {row['commit']} | {row['seconds']:.2f} | {row['processor']:.2f} "
                  f"| {row['status']} |"
                  for row in sorted(result["rows"].values(), key=lambda row: list(WORKFLOWS).index(row["workflow"]))]
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commits", nargs="+", help="older ones to compare with, as git knows them")
    parser.add_argument("--only", nargs="+", choices=WORKFLOWS, default=list(WORKFLOWS), help="some of the workflows")
    options = parser.parse_args()
    commits = options.commits or ["HEAD"]
    known = [git("rev-parse", commit) for commit in commits]
    path, about = HERE / "results" / "workflows.json", machine()
    results = stored(path)
    own = results.setdefault(about["processor"], {"rows": {}})
    own["machine"] = about["text"]
    with tempfile.TemporaryDirectory() as scratch:
        for number, commit in enumerate(known):
            for row in measured(commit, Path(scratch) / str(number), options.only):
                own["rows"][f"{row['commit']} {row['workflow']}"] = row
                print(row, flush=True)
                store(path, results, markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
