"""Many threads at once, and forked children: the same results, and nothing on stderr.

Each case runs in a fresh process, since what goes wrong here ends the process or speaks to stderr behind Python's back.
"""

import os
import subprocess
import sys

import pytest

from attlas_ref.testing import Candidate

COMMON = """
import numpy as np
from attlas_ref.testing import example_call
from attlas_ref.testing.candidates import candidates

candidate = {one.name: one for one in candidates()}[CANDIDATE]
rng = np.random.default_rng(0)
calls = [
    example_call(name, rng, sizes={"m": 150, "n": 300, "d": 8}, batch=(2,), dtype=dtype)
    for name in ("softmax_attention", "softmax_attention_vjp", "sigmoid_attention")
    for dtype in ("float32", "float64")
]

def bits(call):
    result = call.by(candidate)
    return [part.tobytes() for part in (result if isinstance(result, tuple) else (result,))]
"""

THREADS = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

barrier = Barrier(8)

def enter(index):
    barrier.wait()
    return [bits(call) for call in calls]

with ThreadPoolExecutor(8) as pool:
    together = list(pool.map(enter, range(8)))
alone = [bits(call) for call in calls]
assert all(result == alone for result in together)
"""

FORK = """
import os

before = [bits(call) for call in calls]
child = os.fork()
if child == 0:
    os._exit(0 if [bits(call) for call in calls] == before else 3)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert [bits(call) for call in calls] == before
"""

POOL = """
import multiprocessing

def work(index):
    return bits(calls[index])

before = [bits(call) for call in calls]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(work, range(len(calls))) == before
"""


def _run(candidate: Candidate, script: str) -> None:
    if candidate.name not in ("reference", "numba", "cupy-as-numpy"):
        pytest.skip("a context on a GPU does not survive a fork, and the simulator is one thread by design")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", COMMON.replace("CANDIDATE", repr(candidate.name)) + script],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_eight_threads_enter_at_once(candidate: Candidate) -> None:
    _run(candidate, THREADS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_works(candidate: Candidate) -> None:
    _run(candidate, FORK)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_pool_of_workers_works(candidate: Candidate) -> None:
    _run(candidate, POOL)
