"""Any strides: the same numbers in another layout give the same result."""

import numpy as np
import pytest

from attlas_ref.records import find
from attlas_ref.testing import Candidate, Plan, build, compare
from attlas_ref.testing.drawn import letters_of
from attlas_ref.testing.layouts import LAYOUTS, in_layout
from attlas_ref.testing.pairs import is_dense

TWO_HEADS = (2,)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("argument", range(4))
def test_one_argument_in_another_layout(candidate: Candidate, name: str, layout: str, argument: int) -> None:
    if argument >= len(find(name).takes):
        return
    layouts = tuple(layout if index == argument else "contiguous" for index in range(6))
    sizes = dict(zip(letters_of(find(name)), (5, 4, 7, 3), strict=False))
    plan = Plan(name, sizes, batch=TWO_HEADS, layouts=layouts, mask="random", bias="normal", seed=argument)
    compare(candidate, build(plan))


@pytest.mark.formulations.with_args(is_dense)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("option", ["mask", "bias"])
def test_mask_and_bias_in_another_layout(candidate: Candidate, name: str, layout: str, option: str) -> None:
    sizes = dict(zip(letters_of(find(name)), (5, 4, 7, 3), strict=False))
    call = build(Plan(name, sizes, batch=TWO_HEADS, mask="random", bias="normal", options={"causal": True}))
    compare(candidate, call.given(**{option: in_layout(call.options[option], layout)}))


@pytest.mark.formulations.with_args(lambda record: "mask" in record.options)
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
    parts = [result if isinstance(result, tuple) else (result,) for result in results]
    for one, other in zip(*parts, strict=True):
        assert other.dtype == np.float64
        np.testing.assert_array_equal(one, other)
