import resource
import subprocess
import sys

import pytest
import torch

from rrahelpers.base import memory
from rrahelpers.base.memory import kept_buffers

BUFFER = 2**26  # bytes, more than glibc ever keeps by itself
of_glibc = pytest.mark.skipif(memory._glibc() is None, reason="another C library, or told by the environment")


def faults():
    """Pages that the system had to find for a buffer that is set free at once, after a first one."""
    torch.zeros(BUFFER // 4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(BUFFER // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    with open("/proc/self/statm", encoding="utf-8") as status:
        return int(status.read().split()[1]) * resource.getpagesize()


@of_glibc
def test_buffers_are_kept_while_it_is_open_and_given_back_behind_it():
    few = BUFFER // resource.getpagesize() // 100
    assert faults() > few
    with kept_buffers():
        with kept_buffers():
            assert faults() < few
        assert faults() < few  # the outer one is open still
        held = resident()
    assert held - resident() > BUFFER / 2
    assert faults() > few


@of_glibc
def test_it_ends_where_what_is_within_fails():
    with pytest.raises(ZeroDivisionError), kept_buffers():
        1 / 0
    assert memory._open == 0
    assert faults() > BUFFER // resource.getpagesize() // 100


@pytest.mark.parametrize("told", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_a_process_that_is_told_how_to_allocate_is_left_alone(told):
    code = ("from rrahelpers.base import memory\n"
            "memory.ctypes.CDLL = None  # a call fails\n"
            "with memory.kept_buffers(): print('left alone')")
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path), told: "131072"},
                          capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "left alone"
