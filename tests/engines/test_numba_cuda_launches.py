"""What the host of the engine `numba-cuda` launches: legal on every GPU, of kernels that are compiled and listed."""

import ast
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attlas.engines import simulated

if simulated():
    pytest.skip("asks what a real GPU would be given; Numba's CUDA simulator is on", allow_module_level=True)

pytest.importorskip("numba_cuda")

from dry_runs import ENGINE, Launch, recipe, recorded

from attlas.dispatch import call_on
from attlas.numba_cuda import lanes, target
from attlas.numba_cuda.resources import CAPABILITIES, REGISTERS, SHARED_MEMORY, THREADS, Resources, resources
from attlas_ref.records import all_records, find
from attlas_ref.testing import build, example_call
from attlas_ref.testing.laws.inputs import is_attention
from attlas_ref.testing.strategies import BYTES, plan_of

ROOT = Path(__file__).parents[2]
LISTED = json.loads((ROOT / "docs" / "benchmarks" / "kernels.json").read_text(encoding="utf-8"))["kernels"]
LANES = {f"{lane.name}-{lane.dtype}": lane for lane in lanes.kernels()}
COMPILED = {recipe(lane.kernel): name for name, lane in LANES.items()}
NAMES = [record.name for record in all_records() if record.kind != "U" and "numba-cuda" in record.engines]
DENSE = [
    record.name
    for record in all_records()
    if is_attention(record) and record.kind == "K" and record.name in NAMES
    if record.name != "hopfield_attention"  # its host counts the steps of every query, in memory
]
GENERATIONS = {f"{major}.{minor}": (major, minor) for major, minor in CAPABILITIES}
LARGEST_GRID = 2**31 - 1
HUGE = 2**33 + 1


def listed(name: str) -> dict[str, Resources]:
    """What a kernel takes of each generation; nothing where it is not on the list yet."""
    entry = LISTED.get(name, {})
    return {capability: Resources(*taken) for capability, taken in entry.items() if capability != "module"}


def launches_of(name: str, *arrays: Any, **options: Any) -> list[Launch]:
    with recorded() as found:
        call_on(ENGINE, name, *arrays, **options)
    return found


def assert_legal(launch: Launch) -> None:
    assert isinstance(launch.grid, int), "the second and third axis of a grid are short"
    assert 1 <= launch.grid <= LARGEST_GRID
    assert len(launch.threads) <= 2
    assert np.prod(launch.threads) <= THREADS


@pytest.mark.parametrize("name", NAMES)
def test_every_launch_is_legal_and_of_a_kernel_that_is_listed(name: str) -> None:
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64") * 2:
        call = build(plan_of(rng.bytes(BYTES), name, dtypes=(dtype,)))
        for launch in launches_of(name, *call.arrays, **call.options):
            assert_legal(launch)
            kernel = COMPILED[recipe(launch.kernel)]
            threads = int(np.prod(launch.threads))
            assert all(taken.fits(threads) for taken in listed(kernel).values()), (kernel, threads)


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("letter", ["m", "n", "d", "e"])
def test_a_size_beyond_32_bits_gives_a_legal_grid(name: str, letter: str) -> None:
    sizes = {"m": 2, "n": 3, "d": 2, "e": 2} | {letter: HUGE}
    small = example_call(name, np.random.default_rng(0), given=set())
    scalars = {key: value for key, value in small.options.items() if not hasattr(value, "shape")}
    if len(scalars) < len(small.options):
        pytest.skip("needs an array of a number for each pair")
    one = np.float32(1)
    arrays = [np.broadcast_to(one, (sizes[rows], sizes[width])) for rows, width in ("md", "nd", "ne")]
    found = launches_of(name, *arrays, **scalars)
    assert found
    for launch in found:
        assert_legal(launch)
    if letter in "me":  # what is huge is the result, of which no block has more than 128 rows or channels
        assert sum(launch.grid for launch in found) >= HUGE // 128


def test_more_blocks_than_a_grid_may_have_are_launched_in_pieces() -> None:
    kernel = next(iter(LANES.values())).kernel
    for blocks in (0, 1, LARGEST_GRID - 1, LARGEST_GRID, LARGEST_GRID + 1, 3 * LARGEST_GRID + 5):
        with recorded() as found:
            target.launch(kernel, blocks, (16, 16))
        assert [launch.first for launch in found] == list(range(0, blocks, LARGEST_GRID))
        assert sum(min(launch.grid, blocks - launch.first) for launch in found) == blocks
        assert all(launch.blocks == blocks for launch in found)
        for launch in found:
            assert_legal(launch)


def test_no_kernel_is_launched_past_the_one_door() -> None:
    package = Path(target.__file__).parent
    for path in package.rglob("*.py"):
        launched = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Subscript)
            and isinstance(node.func.slice, ast.Tuple)
        ]
        assert not launched or path.name == "target.py", (path, launched)


def test_every_kernel_on_the_list_fits_every_generation() -> None:
    assert set(LISTED) <= set(LANES), "there are kernels on it that are no more: run `make kernels`"
    for name in LISTED:
        assert set(listed(name)) == set(GENERATIONS)
        for capability, taken in listed(name).items():
            assert 0 < taken.registers <= 255
            assert taken.fits(256), (name, capability, taken)
            assert taken.spilled == 0, (name, capability, taken)


@pytest.mark.skipif(os.environ.get("ATTLAS_PROFILE") != "thorough", reason="may be made to grow step by step")
def test_the_list_is_complete() -> None:
    assert set(LISTED) == set(LANES), "run `make kernels`"


@pytest.mark.parametrize("name", sorted(LISTED)[:: -(-len(LISTED) // 3)])
def test_the_list_is_what_the_linker_says(name: str) -> None:
    place = list(LANES).index(name)
    generation, capability = list(GENERATIONS.items())[place % len(GENERATIONS)]
    [found] = resources(LANES[name], [capability]).values()
    expected = listed(name)[generation]
    assert (found.shared, found.spilled) == (expected.shared, expected.spilled)
    assert found.fits(256)


def test_a_kernel_that_does_not_fit_is_noticed() -> None:
    assert Resources(registers=64, shared=SHARED_MEMORY, spilled=0).fits(1024)
    assert not Resources(registers=65, shared=0, spilled=0).fits(1024)  # 72 are given, since portions are of 8
    assert not Resources(registers=1, shared=SHARED_MEMORY + 1, spilled=0).fits(1)
    assert not Resources(registers=1, shared=0, spilled=0).fits(1025)
    assert Resources(registers=REGISTERS // 256, shared=0, spilled=0).fits(256)


def test_dry_runs_know_one_kernel_from_another() -> None:
    assert len(COMPILED) > 500
    assert find("softmax_attention").name in DENSE
