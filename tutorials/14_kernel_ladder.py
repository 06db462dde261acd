# %% [markdown]
# # One idea, four implementations
#
# The same attention, written with plain loops, with NumPy, with Numba for the CPU and with Numba for a GPU, and beside
# them the engine of this project. Each rung of the ladder adds one idea. After this lesson you can say what each idea
# saves, in operations or in bytes, and why the fastest kernel still computes the plain formula.
#
# 30 minutes. Before: lesson 05 (streaming).
#
# The GPU part runs in Numba's simulator. It needs no GPU, but the package `numba-cuda`: `pip install 'attlas[cuda13]'`.

# %%
import inspect
import json
import math
import os
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import numpy as np
from numba import cuda, njit

import attlas
import attlas_ref as ref

plt.rc("figure.constrained_layout", use=True)

# %% [markdown]
# ## The task, and how it is judged
#
# One head, $n = 1024$ queries and keys of width $d = 64$, in float32 (`single`). The definition needs $2 n^2 d$ operations for the
# scores and $2 n^2 d$ for the output; a multiplication and an addition count as two. We divide by the time, so that a
# slow rung may run on fewer rows. Every result is compared with the float64 reference: twice the error of NumPy's
# formula in float32 is allowed, plus a little rounding.

# %%
n, d, single = 1024, 64, np.float32
rng = np.random.default_rng(0)
query, key, value = rng.normal(size=(3, n, d)).astype(single)
rates = {}


def timed(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def measure(name, attend, rows=n):
    arrays = query[:rows], key[:rows], value[:rows]
    exact = ref.softmax_attention(*(x.astype(np.float64) for x in arrays))
    usual = np.abs(formula(*arrays) - exact).max()
    error = np.abs(attend(*arrays) - exact).max()  # the first call compiles
    assert error <= 2 * usual + 16 * np.finfo(single).eps
    seconds = [timed(attend, *arrays)]
    while sum(seconds) < 0.4:
        seconds.append(timed(attend, *arrays))
    rates[name] = 4 * rows * rows * d / min(seconds) / 1e9
    print(f"{name}: {rates[name]:.3g} billion operations a second")


# %% [markdown]
# ## Rung 1: loops
#
# The formula, one number at a time. Nothing is hidden, and that is its use: this is what all the others must equal.


# %%
def loops(query, key, value):
    output = np.zeros((len(query), value.shape[1]), single)
    scores = np.empty(len(key), single)
    for i in range(len(query)):
        for j in range(len(key)):
            dot = single(0)
            for c in range(query.shape[1]):
                dot += query[i, c] * key[j, c]
            scores[j] = dot / single(math.sqrt(query.shape[1]))
        largest, total = scores.max(), single(0)
        for j in range(len(key)):
            weight = math.exp(scores[j] - largest)
            total += weight
            for c in range(value.shape[1]):
                output[i, c] += weight * value[j, c]
        for c in range(value.shape[1]):
            output[i, c] /= total
    return output


# %% [markdown]
# Python spends most of its time asking what kind of thing each number is. On 32 rows it can be endured.
#
# ## Rung 2: NumPy. Idea: say what, not how
#
# Whole arrays at once. Each line calls compiled code, and the two products go to a library (BLAS) that is tuned to the
# processor.


# %%
def formula(query, key, value):
    scores = query @ key.T / single(math.sqrt(d))  # (m, n)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights @ value / weights.sum(axis=-1, keepdims=True)


measure("loops", loops, rows=32)
measure("NumPy", formula)

# %% [markdown]
# ## Rung 3: NumPy in blocks. Idea: never hold the square
#
# The formula writes several arrays of $n^2$ numbers and reads them again. Lesson 05 streams over blocks of keys with a
# running maximum, a running sum and an accumulator, and rescales when the maximum rises:


# %%
def in_blocks(query, key, value, block=128):
    maximum, total, accumulator = single(-np.inf), single(0), single(0)
    for first in range(0, len(key), block):
        part = slice(first, first + block)
        scores = query @ key[part].T / single(math.sqrt(d))  # (m, block)
        raised = np.maximum(maximum, scores.max(axis=-1, keepdims=True))
        weights, shrink = np.exp(scores - raised), np.exp(maximum - raised)
        total = total * shrink + weights.sum(axis=-1, keepdims=True)
        accumulator = accumulator * shrink + weights @ value[part]
        maximum = raised
    return accumulator / total


measure("NumPy in blocks", in_blocks)

# %% [markdown]
# Whether it is also faster depends on the machine: the blocks fit into the caches, but each small product is handed to
# all cores and waits for the slowest. What it saves for certain is memory. Python counts the most that was held beside
# the inputs:

# %%
held = {}
for name, attend in (("NumPy", formula), ("NumPy in blocks", in_blocks)):
    tracemalloc.start()
    attend(query, key, value)
    held[name] = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{name}: {held[name] / 2**20:.1f} MiB at the peak")
square = 4 * n * n
print(f"one array of n² numbers: {square / 2**20:.1f} MiB")
assert held["NumPy"] > 2 * square > square > held["NumPy in blocks"]

# %% [markdown]
# ## Rung 4: Numba. Idea: compile the loops
#
# The same text as rung 1, compiled. `contract` allows one rounding for `a * b + c`; nothing else may be reordered.

# %%
OPTIONS = {"nogil": True, "fastmath": {"contract"}}
measure("compiled loops", njit(**OPTIONS)(loops))
gain = rates["compiled loops"] / rates["loops"]
print(f"{gain:.0f} times as fast as the same loops in Python")

# %% [markdown]
# Hundreds of times faster than Python, and far from what the processor can do. Two things hold it back. The sum
# of a dot product has a fixed order, so the processor adds one number at a time although it could add eight or sixteen.
# And every query reads all keys and values again.
#
# ## Rung 5: a tile. Idea: many queries at a time
#
# Take 64 queries together, stored so that channel $c$ of all of them lies side by side. The innermost loop now runs
# over *queries*: their sums are independent, so the compiler may add many at a time without reordering any of them.
# And a key that has been read serves 64 queries. Three small functions do the work on a tile of 64 keys by 64 queries:


# %%
TILE = 64


@njit(**OPTIONS)
def score_tile(packed, key, first, scores):
    for j in range(TILE):
        for lane in range(TILE):
            scores[j, lane] = 0
        for c in range(packed.shape[0]):
            for lane in range(TILE):  # one query per lane
                scores[j, lane] += packed[c, lane] * key[first + j, c]


@njit(**OPTIONS)
def add_tile(scores, value, first, accumulator):
    for j in range(TILE):
        for c in range(accumulator.shape[0]):
            for lane in range(TILE):
                accumulator[c, lane] += scores[j, lane] * value[first + j, c]


# %%
@njit(**OPTIONS)
def weigh_tile(scores, maximum, total, accumulator):
    for lane in range(TILE):
        raised = maximum[lane]
        for j in range(TILE):
            raised = max(raised, scores[j, lane])
        shrink = single(math.exp(maximum[lane] - raised))
        maximum[lane] = raised
        total[lane] *= shrink
        for c in range(accumulator.shape[0]):
            accumulator[c, lane] *= shrink
        for j in range(TILE):
            scores[j, lane] = math.exp(scores[j, lane] - raised)
            total[lane] += scores[j, lane]


# %%
@njit(**OPTIONS)
def one_task(query, key, value, output, start):
    """Attend from 64 queries; the number of keys is a multiple of 64."""
    d, e = query.shape[1], value.shape[1]
    packed, scores = np.empty((d, TILE), single), np.empty((TILE, TILE), single)
    accumulator, total = np.zeros((e, TILE), single), np.zeros(TILE, single)
    maximum = np.full(TILE, single(-np.inf))
    for lane in range(TILE):
        for c in range(d):
            packed[c, lane] = query[start + lane, c] / single(math.sqrt(d))
    for first in range(0, len(key), TILE):
        score_tile(packed, key, first, scores)
        weigh_tile(scores, maximum, total, accumulator)
        add_tile(scores, value, first, accumulator)
    for lane in range(TILE):
        for c in range(e):
            output[start + lane, c] = accumulator[c, lane] / total[lane]


# %%
def tiled(query, key, value):
    output = np.empty_like(query)
    for start in range(0, len(query), TILE):
        one_task(query, key, value, output, start)
    return output


measure("tile", tiled)

# %% [markdown]
# No library, and one thread. The edges are left out: numbers of rows that are no multiple of 64, masks, batches. They
# are most of the text of a real kernel.
#
# ## Rung 6: threads. Idea: tasks that share nothing
#
# Each block of queries writes rows of its own. `nogil` lets Python's threads run compiled code at the same time, and as
# every task does the same arithmetic in the same order wherever it runs, the result is the same to the last bit.

# %%
threads = min(2, os.cpu_count() or 1)
pool = ThreadPoolExecutor(threads)


def threaded(query, key, value):
    output = np.empty_like(query)
    task = lambda start: one_task(query, key, value, output, start)
    list(pool.map(task, range(0, len(query), TILE)))
    return output


measure(f"tile, {threads} threads", threaded)
assert (threaded(query, key, value) == tiled(query, key, value)).all()

# %% [markdown]
# ## Rung 7: a GPU. Idea: a thread per query
#
# A GPU runs thousands of threads, and the natural task for one of them is one query. It streams over the keys by
# itself. The kernel below is Python for Numba-CUDA; `loads` counts what it reads of keys and values from the GPU's
# main memory.

# %%
WIDTH, BLOCK = 8, 8  # small, for the simulator


def thread_per_query(query, key, value, output, loads):
    i = cuda.grid(1)
    row = cuda.local.array(WIDTH, single)
    accumulator = cuda.local.array(WIDTH, single)
    for c in range(WIDTH):
        row[c] = query[i, c] / math.sqrt(single(WIDTH))
        accumulator[c] = 0
    maximum, total, count = single(-math.inf), single(0), 0
    for j in range(key.shape[0]):
        score = single(0)
        for c in range(WIDTH):
            score += row[c] * key[j, c]
        raised = max(maximum, score)
        shrink, weight = math.exp(maximum - raised), math.exp(score - raised)
        maximum, total = raised, total * shrink + weight
        for c in range(WIDTH):
            accumulator[c] = accumulator[c] * shrink + weight * value[j, c]
        count += 2 * WIDTH
    for c in range(WIDTH):
        output[i, c] = accumulator[c] / total
    loads[i] = count


# %% [markdown]
# ## Rung 8: shared memory. Idea: read together
#
# All threads of a block need the same keys at about the same time. So they fetch a tile together, each thread one key
# and one value, into the block's own fast memory, wait for each other, and then read from there.


# %%
def shared_tile(query, key, value, output, loads):
    keys = cuda.shared.array((BLOCK, WIDTH), single)
    values = cuda.shared.array((BLOCK, WIDTH), single)
    row = cuda.local.array(WIDTH, single)
    accumulator = cuda.local.array(WIDTH, single)
    i, own = cuda.grid(1), cuda.threadIdx.x
    for c in range(WIDTH):
        row[c] = query[i, c] / math.sqrt(single(WIDTH))
        accumulator[c] = 0
    maximum, total, count = single(-math.inf), single(0), 0
    for first in range(0, key.shape[0], BLOCK):
        for c in range(WIDTH):
            keys[own, c] = key[first + own, c]
            values[own, c] = value[first + own, c]
        count += 2 * WIDTH
        cuda.syncthreads()  # the tile is there
        for j in range(BLOCK):
            score = single(0)
            for c in range(WIDTH):
                score += row[c] * keys[j, c]
            raised = max(maximum, score)
            shrink = math.exp(maximum - raised)
            weight = math.exp(score - raised)
            maximum, total = raised, total * shrink + weight
            for c in range(WIDTH):
                accumulator[c] = accumulator[c] * shrink + weight * values[j, c]
        cuda.syncthreads()  # everybody has read it; it may be overwritten
    for c in range(WIDTH):
        output[i, c] = accumulator[c] / total
    loads[i] = count


# %% [markdown]
# Numba's simulator runs each GPU thread as a Python thread. It has to be chosen before Numba is imported, so both
# kernels go to a process of their own.

# %%
PROGRAM = f"""
import json, math
import numpy as np
# Numba's cuda; in the simulator, with a race of its own mended
from attlas.numba_cuda.target import cuda

single, WIDTH, BLOCK = np.float32, {WIDTH}, {BLOCK}
{inspect.getsource(thread_per_query)}
{inspect.getsource(shared_tile)}
rng = np.random.default_rng(0)
arrays = rng.normal(size=(3, 24, WIDTH)).astype(single)
for kernel in (thread_per_query, shared_tile):
    output, loads = np.zeros_like(arrays[0]), np.zeros(24, np.int64)
    cuda.jit(kernel)[24 // BLOCK, BLOCK](*arrays, output, loads)
    print(json.dumps([kernel.__name__, output.tolist(), int(loads.sum())]))
"""
ran = subprocess.run(
    [sys.executable, "-c", PROGRAM],
    env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
    capture_output=True, text=True, check=True,
)  # fmt: skip

# %%
small = np.random.default_rng(0).normal(size=(3, 24, WIDTH)).astype(single)
expected, counts = ref.softmax_attention(*small), {}
for name, output, loads in map(json.loads, ran.stdout.splitlines()):
    assert np.allclose(output, expected, atol=1e-6)
    counts[name] = loads
    print(f"{name}: right; {loads:,} numbers of keys and values read")
assert counts["thread_per_query"] == 2 * 24 * 24 * WIDTH
assert counts["thread_per_query"] == BLOCK * counts["shared_tile"]

# %% [markdown]
# The same operations, and an eighth of the reads: one per *block* of queries instead of one per query. A block of 128
# threads would make it a 128th. The simulator says nothing of speed and does not check types; for these a GPU is
# needed.
#
# ## The engine
#
# `attlas.softmax_attention` climbs on from rung 6. Several keys *and* several queries are kept in registers at a time,
# keys are packed into panels, and the exponential is written so that the compiler can do many at once. What it has to
# be compared with is the machine: how fast does it multiply matrices, with nothing else to do? (Where others use the
# same cores, the library's product loses most: its threads wait for each other.)

# %%
measure("engine", attlas.softmax_attention)
side = np.ones((1024, 1024), single)
peak = 2 * 1024**3 / min(timed(np.matmul, side, side) for _ in range(20)) / 1e9
print(f"a matrix product alone: {peak:.3g} billion operations a second")

# %%
figure, axes = plt.subplots(figsize=(7.2, 3.4))
names = [*rates, "a matrix product"]
speeds = [*rates.values(), peak]
colors = ["C0"] * (len(rates) - 1) + ["C2", "lightgray"]
bars = axes.barh(names, speeds, color=colors)
axes.bar_label(bars, [f"{speed:.2g}" for speed in speeds], padding=3)
axes.invert_yaxis()
axes.set(xscale="log", xlim=(5e-4, 8 * max(speeds)))
axes.set(title="One formula, measured when this page was made")
axes.set_xlabel("billion operations a second")
plt.show()

# %% [markdown]
# ## What each rung saves
#
# Times depend on the machine and its neighbors. Counts do not. Here is how many numbers of keys and values one query
# has to fetch, where a fetch that serves a whole tile is shared by its queries, and what is held beside inputs and
# output (by one thread, where there are several):

# %%
fetched = 2 * n * d  # every number of every key and value
rungs = {
    "loops, compiled or not": (fetched, 4 * n),
    "NumPy": (None, held["NumPy"]),
    "NumPy in blocks": (None, held["NumPy in blocks"]),
    "tile": (fetched / TILE, 4 * (2 * TILE * d + TILE * TILE + 2 * TILE)),
    "GPU, a thread per query": (fetched, 4 * 2 * d),
    "GPU, shared tile of 64": (fetched / 64, 4 * 2 * d + 4 * 2 * d),
}
print(f"{'':24}{'fetched per query':>18}{'bytes held':>14}")
for name, (reads, memory) in rungs.items():
    reads = "by the library" if reads is None else f"{reads:,.0f}"
    print(f"{name:24}{reads:>18}{memory:14,}")

# %% [markdown]
# All rungs do the same $4 n^2 d$ operations and $n^2$ exponentials, but for a few rescalings. What changed is who waits
# for whom: Python for its types, the processor for one sum at a time, memory for numbers that were read before.
#
# ## Questions
#
# 1. Why may the compiler not add the products of one dot product eight at a time, but may do so in the tile?
#
# <details><summary>Answer</summary>
#
# Additions of floating-point numbers may not be reordered: another order rounds differently. Eight partial sums of one
# dot product are another order. In the tile the eight sums belong to eight queries, each in its own order.
#
# </details>
#
# 2. In the tile the maximum is looked up per tile of keys. What would change if it was looked up per key?
#
# <details><summary>Answer</summary>
#
# The accumulator of 64 numbers per query would be rescaled for each key rather than for each 64: as many operations as
# adding the values takes. Per tile it is a 64th of that.
#
# </details>
#
# 3. Why does `shared_tile` wait twice per tile?
#
# <details><summary>Answer</summary>
#
# The first wait lets nobody read before all have written. The second lets nobody overwrite the tile with the next one
# before all have read it. Without either, the result would depend on who is faster.
#
# </details>
#
# 4. With causal masking half of all pairs are hidden. Which rungs save half of the operations by themselves?
#
# <details><summary>Answer</summary>
#
# None that is written here: the mask has to change the loop's end. Loops, tile and GPU kernels can stop at the last key
# that a block of queries sees. The NumPy formula computes the square and throws half of it away.
#
# </details>
#
# 5. Two threads, twice the speed? What could get in the way?
#
# <details><summary>Answer</summary>
#
# A machine that shares its cores with others; tasks too short to be worth handing over; an odd number of tasks; a clock
# that slows down when all cores work. The caches are seldom the reason here, since a task holds 50 KB.
#
# </details>
