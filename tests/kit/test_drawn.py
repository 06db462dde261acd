"""Drawn calls: valid, varied, reproducible; the pairwise table; the tally; what an import costs."""

import subprocess
import sys
from collections import Counter
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import find as find_example
from hypothesis import given, settings

from attlas_ref.records import all_records, find
from attlas_ref.testing import Candidate, Plan, build, calls, check_laws, example_call, formulations
from attlas_ref.testing.candidates import reference_candidate
from attlas_ref.testing.layouts import LAYOUTS, in_layout
from attlas_ref.testing.pairs import is_dense, visible_in
from attlas_ref.testing.pairwise import pairwise
from attlas_ref.testing.plan import BIASES, MASKS
from attlas_ref.testing.strategies import BYTES, plan_of
from attlas_ref.testing.tally import Tally

NAMES = formulations(reference_candidate())


@pytest.mark.parametrize("name", NAMES)
def test_every_drawn_call_is_valid_and_its_plan_makes_it_again(name: str) -> None:
    @settings(max_examples=30)
    @given(calls(name))
    def check(call: object) -> None:
        call.by(reference_candidate())
        again = build(call.plan)
        for one, other in zip(call.every_array(), again.every_array(), strict=True):
            assert one.strides == other.strides
            assert one.tobytes() == other.tobytes()

    check()


def test_draws_are_varied() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=300, derandomize=True, database=None)
    @given(calls("softmax_attention"))
    def draw(call: object) -> None:
        query, key, value = call.arrays
        m, n, d, e = query.shape[-2], key.shape[-2], query.shape[-1], value.shape[-1]
        visible = visible_in(call)
        seen["all"] += 1
        for name, holds in {
            "m < n": m < n,
            "m > n": m > n,
            "d != e": d != e,
            "no keys": n == 0,
            "no queries": m == 0,
            "one key": n == 1,
            "several blocks": n > 16,
            "batch": query.ndim > 2,
            "broadcast": len({array.shape[:-2] for array in call.arrays}) > 1,
            "one key for all heads": query.shape[:-2] == (2, 3) and key.shape[:-2] == (2, 1),
            "one mask for all heads": np.shape(call.options.get("mask"))[:-2] == (2, 1) and visible.shape[1] == 3,
            "read-only": not query.flags.writeable,
            "writeable": query.flags.writeable,
            "negative stride": any(stride < 0 for stride in query.strides),
            "stride of 0": any(
                stride == 0 and size > 1 for stride, size in zip(query.strides, query.shape, strict=True)
            ),
            "empty row": visible.size > 0 and not visible.any(axis=-1).all(),
            "NaN behind the mask": bool(np.isnan(key.astype(np.float64)).any()),
            "infinite bias": call.options.get("bias") is not None and bool(np.isneginf(call.options["bias"]).any()),
            "loud": bool((np.abs(np.nan_to_num(query.astype(np.float64), posinf=0)) > 1e3).any()),
            "faint": query.size > 0 and 0 < np.abs(query.astype(np.float64)).max() < 1e-2,
            "weights": call.options.get("return_weights", False),
            **{str(array.dtype): True for array in call.arrays},
        }.items():
            seen[name] += bool(holds)

    draw()
    assert all(count > 0 for count in seen.values()), seen
    assert seen["no keys"] < seen["all"] / 8


def test_an_option_is_drawn_with_members_that_no_array_has() -> None:
    def more(call: Any) -> bool:
        return call.options["sink"].ndim - 1 > max(array.ndim - 2 for array in call.arrays)

    found = find_example(
        calls("sink_attention"), more, settings=settings(derandomize=True, database=None, max_examples=1000)
    )
    sink = found.options["sink"]
    assert found.by(reference_candidate()).shape[:-2] == sink.shape[:-1] == found.plan.batch


def test_draws_shrink_to_a_small_call() -> None:
    smallest = find_example(
        calls("softmax_attention"),
        lambda call: call.arrays[1].shape[-2] >= 5,
        settings=settings(derandomize=True, database=None, max_examples=1000),
    )
    assert smallest.plan.sizes == {"m": 1, "d": 1, "n": 5, "e": 1}
    assert smallest.plan.batch == ()


@pytest.mark.parametrize("name", [record.name for record in all_records() if is_dense(record)])
@pytest.mark.parametrize("strange", ["nan", "inf"])
def test_what_is_planted_is_nowhere_visible(name: str, strange: str) -> None:
    for mask, bias in product(MASKS, BIASES):
        plan = Plan(name, {"m": 3, "n": 4, "d": 2, "e": 2}, batch=(2,), stretch=(0, 1, 2), mask=mask, bias=bias, seed=1)
        clean, fouled = build(plan), build(Plan(**{**vars(plan), "hidden": strange}))
        for one, other in zip(_results(clean), _results(fouled), strict=True):
            assert np.array_equal(np.isnan(one), np.isnan(other))


def _results(call: object) -> tuple[np.ndarray, ...]:
    result = call.by(reference_candidate())
    return tuple(result) if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (2, 0)])
def test_a_layout_keeps_the_numbers(layout: str, shape: tuple[int, ...]) -> None:
    array = np.arange(float(np.prod(shape))).reshape(shape)
    laid = in_layout(array, layout)
    expected = np.broadcast_to(array[..., :1, :], shape) if layout == "stretched" and len(shape) > 1 else array
    assert laid.shape == shape
    assert np.array_equal(laid, expected)


def test_an_example_is_as_asked() -> None:
    call = example_call(
        "softcapped_attention", np.random.default_rng(0), sizes={"m": 2, "n": 3}, batch=(4,), dtype="float64", cap=9.0
    )
    assert [array.shape for array in call.arrays] == [(4, 2, 4), (4, 3, 4), (4, 3, 3)]
    assert {array.dtype.name for array in call.arrays} == {"float64"}
    assert call.options == {"cap": 9.0}


def test_an_example_has_the_options_that_are_required() -> None:
    assert example_call("softcapped_attention", np.random.default_rng(0)).options["cap"] > 0


def test_a_length_may_be_as_long_as_its_axis() -> None:
    lengths = {
        int(example_call("ctc_posterior", rng, {"t": 2}, given={"input_lengths"}).options["input_lengths"])
        for rng in map(np.random.default_rng, range(40))
    }
    assert lengths == {0, 1, 2}


def test_every_pair_of_values_occurs_and_there_are_few_rows() -> None:
    parameters = {"a": [1, 2, 3], "b": [True, False], "c": ["x", "y", "z", "w"], "d": [None]}
    rows = pairwise(parameters)
    for one, other in combinations(parameters, 2):
        assert {(row[one], row[other]) for row in rows} == set(product(parameters[one], parameters[other]))
    assert len(rows) <= 14  # 12 pairs of the two longest need a row each
    assert rows == pairwise(parameters)


@pytest.mark.parametrize(("parameters", "rows"), [({}, []), ({"a": [1, 2]}, [{"a": 1}, {"a": 2}])])
def test_fewer_than_two_parameters(parameters: dict, rows: list) -> None:
    assert pairwise(parameters) == rows


def test_tallies_of_several_processes_add_up() -> None:
    one, other = Tally(), Tally()
    one.count("reference", ["softmax_attention"])
    other.count("reference", ["softmax_attention", "relu_attention"], law="keys_may_be_permuted")
    one.merge(Tally.from_dict(other.as_dict()))
    assert one.as_dict() == {
        "formulations": ["relu_attention", "softmax_attention"],
        "candidates": ["reference"],
        "laws": ["keys_may_be_permuted"],
        "cases": 2,
    }


def test_the_package_imports_without_hypothesis() -> None:
    code = (
        "import sys, attlas_ref.testing; from attlas_ref.testing import example_call, all_laws; all_laws();"
        "assert not {'hypothesis', 'attlas', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_function_is_judged_by_the_laws_of_its_formulation() -> None:
    def without_competition(query: object, key: object, value: object, **options: object) -> object:
        result = find("distance_attention").reference(query, key, value, **options)
        return type(result)(2 * result.output, result.weights) if isinstance(result, tuple) else 2 * result

    check_laws(reference_candidate(), "distance_attention", max_examples=2)
    with pytest.raises(AssertionError, match="breaks the law"):
        check_laws(Candidate.of(without_competition, "distance_attention"), "distance_attention", max_examples=5)


def test_a_law_that_needs_more_rows_than_a_candidate_is_drawn_gets_them() -> None:
    plan = plan_of(bytes(BYTES), "softmax_attention", largest=4, least={"d": 5})
    assert plan.sizes["d"] == 5


def test_larger_sizes_are_drawn_where_they_are_asked_for() -> None:
    drawn = [plan_of(np.random.default_rng(seed).bytes(BYTES), "softmax_attention", largest=257) for seed in range(60)]
    assert max(max(plan.sizes.values()) for plan in drawn) == 257
