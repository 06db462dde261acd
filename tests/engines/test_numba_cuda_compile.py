"""Every kernel of the engine `numba-cuda`, compiled to PTX for generations of GPUs, where there may be none.

The simulator knows no types; the compiler does. What it made is read for what would cost a GPU most: arithmetic in
double precision that nobody asked for, registers that became memory, more shared memory than every GPU grants.
"""

import dataclasses
import inspect
import os
import re

import pytest

from attlas.engines import simulated

if simulated():
    pytest.skip("compiles for real GPUs; Numba's CUDA simulator is on", allow_module_level=True)

pytest.importorskip("numba_cuda")

from attlas.numba_cuda import columns, lanes, learned, rules
from attlas.numba_cuda.resources import CAPABILITIES, SHARED_MEMORY

EVERY = list(lanes.kernels())
LANES = {f"{lane.name}-{lane.dtype}": lane for lane in EVERY}
THOROUGH = os.environ.get("ATTLAS_PROFILE") == "thorough"
"""Each kernel in both precisions for every capability. Otherwise some, the next one for the next capability: what each
builder of kernels builds first and every 16th in float32, which must not become double, and a few in float64;
`make kernels` compiles all, too."""
FIRST = {lane.kernel.py_func.__code__: name for name, lane in reversed(LANES.items()) if lane.dtype == "float32"}
CHOSEN = [
    name
    for place, (name, lane) in enumerate(LANES.items())
    if THOROUGH or name in FIRST.values() or place % (16 if lane.dtype == "float32" else 32) == 0
]
COMPILED = [
    pytest.param(name, capability, id=f"{name}-sm_{capability[0]}{capability[1]}")
    for place, name in enumerate(CHOSEN)
    for capability in (CAPABILITIES if THOROUGH else [CAPABILITIES[place % len(CAPABILITIES)]])
]


def shared_memory(ptx):
    """Bytes of static shared memory, each array on its alignment."""
    total = 0
    for alignment, size in re.findall(r"\.shared \.align (\d+) \.b8 \S+?\[(\d+)\]", ptx):
        total += -(-int(size) // int(alignment)) * int(alignment)
    return total


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("lane", "capability"), COMPILED)
def test_kernel_compiles_to_what_it_should(lane, capability):
    ptx = LANES[lane].ptx(capability)
    assert ".visible .entry" in ptx
    assert f".target sm_{capability[0]}{capability[1]}" in ptx
    in_double = LANES[lane].dtype == "float64" or LANES[lane].wide
    of_copies_alone = not re.search(r"\.f(16|32|64)\b", ptx)  # some generations move them as `.b64`
    assert (".f64" in ptx) == in_double or of_copies_alone, "arithmetic in another precision"
    assert shared_memory(ptx) <= SHARED_MEMORY
    assert (shared_memory(ptx) > 0) == LANES[lane].shares
    assert ".local" not in ptx, "what a thread holds has left its registers"
    assert ".extern .func" not in ptx, "a function is missing that only a driver could supply"
    assert not re.search(r"\batom\.|\bred\.global", ptx), "atomics make results depend on the order of threads"


def test_every_kernel_has_a_name_of_its_own():
    assert len(LANES) == len(EVERY)


def test_every_rule_has_its_kernels():
    modules = [vars(module).items() for module in (rules, learned, columns)]
    functions = [value for names in modules for name, value in names if name[0] != "_" and hasattr(value, "cache_info")]
    factories = {function for function in functions if inspect.signature(function).return_annotation is rules.Rule}
    assert factories == {*lanes.RULES, *lanes.LEARNED_RULES, *lanes.COLUMN_RULES, learned.linear}


@pytest.mark.parametrize("dtype", ["float16", "float64", "int64", "uint8", "bool"])
def test_bias_may_have_any_real_dtype(dtype):
    lane = dataclasses.replace(LANES["forward_softmax-float32"], bias=dtype)
    assert ".visible .entry" in lane.ptx((9, 0))
