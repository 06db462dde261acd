"""Threads of a simulated block that take turns do what the simulator's own threads do."""

import numpy as np
import pytest

from attlas.engines import simulated

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from numba import cuda

THREADS = (2, 3)


def launched(function, *arrays):
    cuda.jit(function)[2, THREADS](*arrays)
    return arrays[-1]


def test_votes_are_counted():
    def vote(found):
        thread = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        for limit in range(8):
            yes = thread < limit
            found[cuda.blockIdx.x, thread, limit, 0] = cuda.syncthreads_count(yes)
            found[cuda.blockIdx.x, thread, limit, 1] = cuda.syncthreads_and(yes)
            found[cuda.blockIdx.x, thread, limit, 2] = cuda.syncthreads_or(yes)

    expected = [[min(limit, 6), limit >= 6, limit >= 1] for limit in range(8)]
    np.testing.assert_array_equal(launched(vote, np.full((2, 6, 8, 3), -1)), np.broadcast_to(expected, (2, 6, 8, 3)))


@pytest.mark.parametrize("waits", [True, False])
def test_a_missing_barrier_shows(waits):
    def pass_on(source, target):
        held = cuda.shared.array(6, np.int64)
        thread = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        held[thread] = -1
        cuda.syncthreads()
        held[thread] = source[thread]
        if waits:
            cuda.syncthreads()
        target[cuda.blockIdx.x, thread] = held[(thread + 1) % 6]

    passed = launched(pass_on, np.arange(6), np.zeros((2, 6), np.int64))
    assert np.array_equal(passed, np.broadcast_to(np.roll(np.arange(6), -1), (2, 6))) == waits


def test_a_thread_that_fails_fails_the_launch():
    def fail(target):
        if cuda.threadIdx.x == 1:
            raise ArithmeticError("on purpose")
        cuda.syncthreads()
        target[0] = 1

    with pytest.raises(ArithmeticError, match="on purpose"):
        launched(fail, np.zeros(1))


def test_a_failed_launch_leaves_its_shared_memory_to_nobody():
    def made(dtype, fails):
        @cuda.jit(device=True)
        def share(thread):
            held = cuda.shared.array(6, dtype)
            held[thread] = 0.1
            if fails and thread == 5:
                raise ArithmeticError("on purpose")
            cuda.syncthreads()
            return held[thread]

        def kernel(target):
            thread = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
            target[cuda.blockIdx.x, thread] = share(thread)

        return kernel

    with pytest.raises(ArithmeticError) as kept:
        launched(made(np.float32, fails=True), np.zeros((2, 6)))
    np.testing.assert_array_equal(launched(made(np.float64, fails=False), np.zeros((2, 6))), np.full((2, 6), 0.1))
    assert kept.value.args == ("on purpose",)
