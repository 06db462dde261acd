"""Any strides: the same numbers in another layout give the same result."""

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from attlas_ref.contract.results import flat
from attlas_ref.records import find
from attlas_ref.testing import Candidate, Plan, assert_within_budget, build, compare
from attlas_ref.testing.budget import high_and_lows
from attlas_ref.testing.drawn import letters_of
from attlas_ref.testing.layouts import LAYOUTS, in_layout
from attlas_ref.testing.pairs import is_dense

TWO_HEADS = (2,)


def plan_of(name: str, argument: int, layout: str) -> Plan:
    """A plan with one argument in a layout."""
    sizes = dict(zip(letters_of(find(name)), (5, 4, 7, 3), strict=False))
    layouts = tuple(layout if index == argument else "contiguous" for index in range(6))
    return Plan(name, sizes, TWO_HEADS, layouts=layouts, mask="random", bias="normal")


@cache
def expected(name: str, stretched: int | None) -> Any:
    """The result and its budget, which depend on a layout only where it repeats a row."""
    call = build(plan_of(name, -1, "") if stretched is None else plan_of(name, stretched, "stretched"))
    return high_and_lows(name, call.arrays, call.options)


def test_each_argument_in_another_layout(candidate: Candidate, name: str) -> None:
    for argument, layout in product(range(len(find(name).takes)), LAYOUTS):
        plan = plan_of(name, argument, layout)
        result = build(plan).by(candidate)
        budget = expected(name, argument if layout == "stretched" else None)
        assert_within_budget(result, *budget, what=f"{candidate}: {plan}")


@pytest.mark.formulations.with_args(is_dense, because="they have no mask between queries and keys")
def test_mask_and_bias_in_another_layout(candidate: Candidate, name: str) -> None:
    call = build(plan_of(name, -1, ""))
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
