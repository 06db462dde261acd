"""Places beyond 2^31 elements: no kernel counts them in 32 bits.

On the CPU the entries of every array lie so far apart, in a file with holes, that offsets exceed 2^31; only the pages
that are written exist. On a GPU an array that large cannot be had for nothing, so the types are looked at instead.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attlas
from attlas import numba_cuda
from attlas_ref.contract.results import flat
from attlas_ref.records import find
from attlas_ref.testing import Call, Plan, build, formulations
from attlas_ref.testing.candidates import candidates

FAR = 2**31
APART = 2**19
"""Bytes between the arrays of a call; each is smaller, along all axes but the one that is stretched."""
NUMBA = [name for candidate in candidates() if candidate.name == "numba" for name in formulations(candidate)]


@pytest.fixture(scope="module")
def holes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[np.memmap[Any, Any]]:
    """Bytes that are all holes."""
    path: Path = tmp_path_factory.mktemp("holes") / "memory"
    yield np.memmap(path, mode="w+", dtype=np.uint8, shape=(12 * FAR,))
    path.unlink()


def _placed(axis: int, memory: Any, stretched: bool, array: Any, number: int) -> Any:
    """Lay an array out with one axis stretched, beyond 2^31 elements or just to twice its length."""
    size = array.shape[axis]
    steps = [0] * array.ndim
    step = 1
    for place in reversed(range(array.ndim)):
        if place != axis % array.ndim:
            steps[place], step = step, step * array.shape[place]
    steps[axis] = FAR // (size - 1) + 1 if stretched else 2 * step
    raw = memory[number * APART :][: 8 * FAR].view(array.dtype)
    view = np.lib.stride_tricks.as_strided(raw, array.shape, [s * array.itemsize for s in steps], writeable=True)
    view[...] = array
    return view


def _laid_out(call: Call, axis: int, place: Callable[[Any, int], Any]) -> Call:
    """Place every array that has more than one entry along an axis."""
    placed: list[tuple[Any, Any]] = []

    def one(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(one, value))
        if not isinstance(value, np.ndarray) or value.ndim < -axis or value.shape[axis] < 2:
            return value
        placed.append((value, place(value, len(placed))))
        return placed[-1][1]

    arrays = tuple(map(one, call.arrays))
    laid = Call(call.name, arrays, {name: one(value) for name, value in call.options.items()})
    assert all(np.array_equal(value, view) for value, view in placed), "two arrays share memory"
    return laid


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NUMBA])
def test_places_beyond_31_bits(name: str, holes: Any) -> None:
    record = find(name)
    sizes = {letter: min(size, record.largest.get(letter, size)) for letter, size in {"m": 5, "n": 6, "d": 3}.items()}
    call = build(Plan(name, sizes, batch=(2,), mask="random", bias="normal"))
    for axis in (-3, -2, -1):
        results = []
        for stretched in (False, True):
            laid = _laid_out(call, axis, partial(_placed, axis, holes, stretched))
            found = laid.by(lambda name, *arrays, **options: getattr(attlas, name)(*arrays, **options))
            results.append([np.asarray(part).tobytes() for part in flat(found)])
        assert results[0] == results[1], f"axis {axis}"


def test_whole_numbers_of_cuda_kernels_have_64_bits() -> None:
    """Products of indices are of 64 bits where no factor was cast to fewer; 32 bits hold words and their counts."""
    narrow = re.compile(r"\b(?:np|types|xp)?\.?u?int(?:8|16|32)\b")
    allowed = {"lanes.py", "memory/packed.py"}
    root = Path(numba_cuda.__file__).parent
    found = {
        str(source.relative_to(root))
        for source in root.rglob("*.py")
        if any(narrow.search(line) for line in source.read_text(encoding="utf-8").splitlines())
    }
    assert found <= allowed
