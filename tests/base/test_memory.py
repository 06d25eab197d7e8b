"""Memory that a training keeps between its steps."""

import os
import subprocess
import sys

import pytest

from rrahelpers.base import memory

of_glibc = pytest.mark.skipif(memory._glibc() is None, reason="another C library, or told by the environment")


IN_A_FRESH_PROCESS = """
import resource
import torch
from rrahelpers.base import memory
from rrahelpers.base.memory import kept_buffers

BUFFER = 2**26  # bytes, more than glibc ever keeps by itself
FEW = BUFFER // resource.getpagesize() // 100


def faults():
    "Pages that the system had to find for a buffer that is set free at once, after a first one."
    torch.zeros(BUFFER // 4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(BUFFER // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def kept():
    "Whether the buffer is found again, in one of some tries: a busy system takes pages away in between."
    return any(faults() < FEW for _ in range(20))


def resident():
    with open("/proc/self/statm", encoding="utf-8") as status:
        return int(status.read().split()[1]) * resource.getpagesize()

"""


def run(code):
    """What is in a test's own process: its heap has no gaps that earlier tests left, and it isn't told how to allocate
    (Dask tells its workers, by the environment of the process that begins them)."""
    untold = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS + code], check=True,
                   env=untold | {"PYTHONPATH": os.pathsep.join(sys.path)})


@of_glibc
def test_buffers_are_kept_while_it_is_open_and_given_back_behind_it():
    run("""
assert faults() > FEW
with kept_buffers():
    with kept_buffers():
        assert kept()
    assert kept()  # the outer one is open still
    held = resident()
assert held - resident() > BUFFER / 2
assert faults() > FEW
""")


@of_glibc
def test_it_ends_where_what_is_within_fails():
    run("""
try:
    with kept_buffers():
        1 / 0
except ZeroDivisionError:
    pass
assert memory._open == 0
assert faults() > FEW
""")


@pytest.mark.parametrize("told", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_a_process_that_is_told_how_to_allocate_is_left_alone(told):
    code = ("from rrahelpers.base import memory\n"
            "memory.ctypes.CDLL = None  # a call fails\n"
            "with memory.kept_buffers(): print('left alone')")
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path), told: "131072"},
                          capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "left alone"
