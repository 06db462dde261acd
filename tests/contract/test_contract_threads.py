"""Many threads at once, forked and spawned children, Ctrl-C, thousands of calls: the same results, nothing left behind.

Each case runs in a fresh process, since what goes wrong here ends the process or speaks to stderr behind Python's back.
"""

import functools
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from attlas.engines import simulated
from attlas.threads import undisturbed
from attlas_ref.testing import Candidate
from attlas_ref.testing.candidates import candidates

COMMON = """
import numpy as np
from attlas import set_num_threads
from attlas_ref.contract.results import flat
from attlas_ref.testing import example_call
from attlas_ref.testing.candidates import candidates

candidate = {one.name: one for one in candidates()}[CANDIDATE]
if candidate.name == "numba":  # even small calls on several threads
    from attlas.numba_cpu import operands
    from attlas.numba_cpu import launch
    operands.WORTH_A_THREAD = launch.WORTH_A_THREAD = 0

NAMES = (
    "softmax_attention", "softmax_attention_vjp", "additive_attention", "prefix_attention",
    "sigmoid_attention", "sparsemax_attention", "hopfield_attention", "titans_memory",
    "tri_directional_attention", "fastmax_attention", "sinkhorn_plan", "linear_chain_marginals",
    "gumbel_softmax_attention", "pointer_attention", "monotonic_alignment", "ctc_log_likelihood",
)
SIZES = {"m": 30, "n": 40, "d": 8}

def bits(call):
    return [np.ascontiguousarray(part).tobytes() for part in flat(call.by(candidate))]

def drawn(names, dtypes=("float32",)):
    rng = np.random.default_rng(0)
    return [example_call(name, rng, SIZES, (2,), dtype) for name in names for dtype in dtypes]
"""

TOGETHER = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

barrier = Barrier(16)

def enter(index):
    barrier.wait()
    found = {}
    for step in range(len(calls)):  # everybody is at another formulation
        set_num_threads(1 + (index + step) % 5)
        place = (index + step) % len(calls)
        found[place] = bits(calls[place])
    return [found[place] for place in range(len(calls))]

def together():
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(enter, range(16)))
"""

THREADS = (
    TOGETHER
    + """
calls = drawn(NAMES)
alone = [bits(call) for call in calls]
assert all(result == alone for result in together())
"""
)

FIRST_CALLS = (
    TOGETHER
    + """
import sys
from attlas.numba_cpu.compile import cache_folder

sys.setswitchinterval(1e-6)  # what takes a few milliseconds, such as an import, is cut in pieces
calls = drawn(("pointer_attention", "monotonic_alignment", "linear_chain_marginals"))
assert not list(cache_folder().iterdir())  # nothing is compiled
found = together()
assert list(cache_folder().glob("*.bin"))
alone = [bits(call) for call in calls]
assert all(result == alone for result in found)
"""
)

FORK = """
import os

calls = drawn(NAMES[:2], ("float32", "float64"))
set_num_threads(4)
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

calls = drawn(NAMES[:2], ("float32", "float64"))
set_num_threads(4)

def work(index):
    return bits(calls[index])

before = [bits(call) for call in calls]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(work, range(len(calls))) == before
"""

# The function itself goes to the children, who import it by its name.
SPAWN = """
import multiprocessing

call = drawn(NAMES[:1])[0]
function = call.by(lambda name, *arrays, **options: getattr(__import__(PACKAGE), name))
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.starmap(function, [call.arrays] * 4)
    assert all(result.tobytes() == function(*call.arrays).tobytes() for result in results)
"""

MANY_CALLS = """
import os, threading

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if candidate.name == "numba":
    from attlas.numba_cpu import pool
    pool.LONG = 0  # every call has a stand-in for the main thread
set_num_threads(3)
call = drawn(NAMES[:1])[0]
for _ in range(1000):
    call.by(candidate)
threads, memory = threading.active_count(), resident()
for _ in range(10_000):
    call.by(candidate)
assert threading.active_count() <= max(threads, 3), threading.enumerate()
# One lost result for each call would be 40 MB; the allocator keeps a few pages more or less.
assert resident() - memory < 2**22, resident() - memory
"""

INTERRUPT = """
import gc, os, signal, threading, time, weakref
from attlas.numba_cpu import pool
from attlas.threads import undisturbed

release, entered, ended = threading.Event(), threading.Event(), threading.Event()
main = threading.get_ident()
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs in the background ignores it from the start

def interrupt_when_entered():
    entered.wait()
    signal.pthread_kill(main, signal.SIGINT)

def by_python(work):
    def take(turns):
        with pool.taken(turns) as tasks:
            for task in tasks:
                work(task)
    return take

def blocked():
    def work(task):
        assert threading.get_ident() != main  # in a kernel no signal would reach it
        entered.set()
        release.wait(20)
        ended.set()
    return by_python(work)

class Array:  # weakly referable
    pass

held = []

def long_call():
    array = Array()  # a kernel knows it by its address alone
    held.append(weakref.ref(array))
    pool.run(TASKS, blocked, THREADS, multiply_adds=pool.LONG)

def interrupted(function):
    entered.clear()
    threading.Thread(target=interrupt_when_entered).start()
    try:
        function()
    except KeyboardInterrupt:
        return
    raise AssertionError("nobody was interrupted")

interrupted(long_call)
assert not ended.is_set()  # nobody waited
gc.collect()
assert held[0]() is not None  # what the kernel still works on is there
done = []
pool.run(9, lambda: by_python(done.append), 3, multiply_adds=pool.LONG)
assert sorted(done) == list(range(9))  # the next call has all it needs
release.set()
ended.wait()
for _ in range(500):
    gc.collect()
    if held[0]() is None:
        break
    time.sleep(0.01)
assert held[0]() is None  # and then it is gone

release.clear()
made = []

def half_made():
    entered.set()
    release.wait(20)
    made.append(1)

interrupted(lambda: undisturbed(half_made))
assert not made
release.set()
while not made:
    time.sleep(0.01)
"""


def _run(candidate: Candidate, script: str) -> None:
    if candidate.name not in ("reference", "numba", "cupy-as-numpy"):
        pytest.skip("a context on a GPU does not survive a fork, and the simulator is one thread by design")
    _succeeds(COMMON.replace("CANDIDATE", repr(candidate.name)) + script)


def _succeeds(script: str, env: dict[str, str] | None = None) -> None:
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_sixteen_threads_call_different_formulations(candidate: Candidate) -> None:
    _run(candidate, THREADS)


@pytest.mark.skipif(simulated(), reason="the engine of this process is the simulated one")
def test_sixteen_threads_make_the_first_calls(tmp_path: Path) -> None:
    """Nothing is compiled yet, and nothing is on the disk."""
    _succeeds(
        COMMON.replace("CANDIDATE", repr("numba")) + FIRST_CALLS, {**os.environ, "ATTLAS_CACHE_DIR": str(tmp_path)}
    )


def test_modules_and_kernels_are_made_one_at_a_time() -> None:
    """Imports of packages that need each other's modules would wait for each other, though seldom."""
    inside: list[int] = []

    def make(index: int) -> int:
        inside.append(index)
        time.sleep(0.01)
        together = len(inside)
        inside.remove(index)
        return together

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(functools.partial(undisturbed, make), range(8))) == [1] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_works(candidate: Candidate) -> None:
    _run(candidate, FORK)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_pool_of_workers_works(candidate: Candidate) -> None:
    _run(candidate, POOL)


@pytest.mark.parametrize("package", ["attlas", "attlas_ref"])
def test_a_spawned_pool_of_workers_works(package: str) -> None:
    _succeeds(COMMON.replace("CANDIDATE", repr(candidates()[0].name)) + SPAWN.replace("PACKAGE", repr(package)))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell its memory")
def test_ten_thousand_calls_leave_no_thread_and_no_memory(candidate: Candidate) -> None:
    _run(candidate, MANY_CALLS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has other signals")
@pytest.mark.parametrize(("tasks", "threads"), [(1, 1), (5, 1), (5, 3)])
def test_an_interrupt_returns_at_once_and_leaves_the_engine_usable(tasks: int, threads: int) -> None:
    _succeeds(INTERRUPT.replace("TASKS", str(tasks)).replace("THREADS", str(threads)))
