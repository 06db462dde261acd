"""Any strides: the same numbers in another layout give the same result."""

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from attlas_ref.contract import Array, Indices
from attlas_ref.contract.results import flat
from attlas_ref.records import find
from attlas_ref.testing import Candidate, Plan, assert_within_budget, build, compare, example_call
from attlas_ref.testing.budget import high_and_lows
from attlas_ref.testing.candidates import reference_candidate
from attlas_ref.testing.drawn import letters_of
from attlas_ref.testing.layouts import LAYOUTS, in_layout
from attlas_ref.testing.pairs import is_dense

TWO_HEADS = (2,)
MANY = 50
"""Arrays that no call has."""


def plan_of(name: str, *layouts: str) -> Plan:
    """A plan with arguments in layouts; those that are not named are contiguous."""
    sizes = dict(zip(letters_of(find(name)), (5, 4, 7, 3), strict=False))
    return Plan(name, sizes, TWO_HEADS, layouts=(*layouts, *["contiguous"] * MANY), mask="random", bias="normal")


@cache
def expected(name: str, stretched: int | None) -> Any:
    """The result and its budget, which depend on a layout only where it repeats a row."""
    call = build(plan_of(name) if stretched is None else plan_of(name, *["contiguous"] * stretched, "stretched"))
    return high_and_lows(name, call.arrays, call.options)


def test_each_argument_in_every_layout(candidate: Candidate, name: str) -> None:
    arguments, count = len(find(name).takes), len(LAYOUTS)
    for begin, first in product(range(0, arguments, count), range(count)):
        some = min(count, arguments - begin)  # so many at once that only one of them is stretched
        layouts = ["contiguous"] * begin + [LAYOUTS[(first + argument) % count] for argument in range(some)]
        plan = plan_of(name, *layouts)
        budget = expected(name, layouts.index("stretched") if "stretched" in layouts else None)
        assert_within_budget(build(plan).by(candidate), *budget, what=f"{candidate}: {plan}")


@pytest.mark.one_in(4)
def test_each_array_may_have_members_that_the_others_lack(candidate: Candidate, name: str) -> None:
    """Two members that differ, and two that are one memory."""

    def views(argument: Any) -> Any:
        if isinstance(argument, tuple):
            return tuple(map(views, argument))
        return np.broadcast_to(argument, (2, *np.shape(argument)))

    def copies(argument: Any) -> Any:
        return tuple(map(copies, argument)) if isinstance(argument, tuple) else views(argument).copy()

    record, calls = find(name), []
    sizes = dict(zip(letters_of(record), (5, 4, 7, 3), strict=False))
    call = example_call(name, np.random.default_rng(0), sizes)
    for place, argument in enumerate(call.arrays):
        calls += [call.given(*call.arrays[:place], two(argument), *call.arrays[place + 1 :]) for two in (views, copies)]
    for option, kind in record.options.items():
        if not isinstance(kind, Array | Indices) or not kind.batched or getattr(kind, "broadcast", False):
            continue
        for seed in range(3):  # some may be a word, too
            call = example_call(name, np.random.default_rng(seed), sizes, given=(option,))
            value = call.options.get(option)
            if value is not None and not isinstance(value, str):
                calls += [call.given(**{option: two(value)}) for two in (views, copies)]
                break
    for call in calls:
        try:
            call.by(reference_candidate())
        except ValueError:  # not every array may have members that the others lack
            continue
        compare(candidate, call)


@pytest.mark.formulations.with_args(is_dense, because="they have no mask between queries and keys")
def test_mask_and_bias_in_another_layout(candidate: Candidate, name: str) -> None:
    call = build(plan_of(name))
    budget = expected(name, None)
    for option, layout in product(("mask", "bias"), set(LAYOUTS) - {"stretched"}):
        result = call.given(**{option: in_layout(call.options[option], layout)}).by(candidate)
        assert_within_budget(result, *budget, what=f"{candidate}: {name} with {option} {layout}")
    for option in ("mask", "bias"):
        compare(candidate, call.given(**{option: in_layout(call.options[option], "stretched")}))


@pytest.mark.formulations.with_args(lambda record: "mask" in record.options, because="they take no mask")
def test_a_stride_that_is_no_whole_number_of_entries(candidate: Candidate, name: str) -> None:
    # A field of a packed structure: its entries lie 9 bytes apart.
    sizes = dict(zip(letters_of(find(name)), (5, 4, 7, 3), strict=False))
    call = build(Plan(name, sizes, dtype="float64"))
    packed = np.zeros(call.arrays[0].shape, dtype=[("flag", "i1"), ("number", "f8")])
    packed["number"] = call.arrays[0]
    compare(candidate, call.given(packed["number"], *call.arrays[1:]))


def test_arrays_of_the_other_byte_order(candidate: Candidate, name: str) -> None:
    sizes = dict.fromkeys(letters_of(find(name)), 3)
    native = build(Plan(name, sizes, dtype="float64"))
    swapped = native.mapped(lambda array: array.astype(array.dtype.newbyteorder()))
    results = [call.by(candidate) for call in (native, swapped)]
    for one, other in zip(*map(flat, results), strict=True):
        assert other.dtype == one.dtype
        assert other.dtype.isnative
        np.testing.assert_array_equal(one, other)
