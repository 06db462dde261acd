"""Results: their type, their names, their precision."""

from typing import Any

import numpy as np
import pytest

from attlas.engines import simulated
from attlas_ref.contract import Array, AttentionPartial, AttentionResult, AttentionVJP, AttentionVJPWithBias
from attlas_ref.contract.results import flat
from attlas_ref.records import Record, find
from attlas_ref.testing import Call, Candidate, assert_within_budget, compare, example_call, high_and_lows
from attlas_ref.testing.pairs import is_dense
from attlas_ref.testing.plan import dtype_named

FRACTIONS = {"weights", "log_prior", "concentration", "uniform"}
"""Arguments of which rounding to whole numbers leaves nothing that is legal."""
HALF_AND_FULL = ["float16", "bfloat16", "float32", "float64"]


def _example(name: str, dtype: str) -> Call:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    call = example_call(name, np.random.default_rng(0), dtype="float64", batch=(2,))
    return call.mapped(lambda array: array.astype(dtype_named(dtype)))


def _dtypes(result: Any) -> set[str]:
    """The dtypes of all results but those that are choices or counts, which stay whole numbers."""
    return {part.dtype.name for part in flat(result) if part.dtype.kind not in "biu"}


@pytest.mark.parametrize("dtype", HALF_AND_FULL)
def test_the_dtype_comes_back_as_it_went_in(candidate: Candidate, name: str, dtype: str) -> None:
    call = _example(name, dtype)
    expected = dtype if dtype in ("float32", "float64") or not find(name).keeps_accumulators else "float32"
    assert _dtypes(call.by(candidate)) <= {expected}
    compare(candidate, call)


@pytest.mark.formulations.with_args(
    lambda record: not FRACTIONS & {*record.takes, *record.options}, because="their arguments are fractions"
)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool"])
def test_integers_become_float64(candidate: Candidate, name: str, dtype: str) -> None:
    call = example_call(name, np.random.default_rng(0), dtype="float64")
    # Truncated, since a fraction is True as a boolean and 0 as a whole number.
    whole = call.mapped(lambda array: np.trunc(np.abs(np.nan_to_num(array, neginf=0))).astype(dtype))
    assert _dtypes(whole.by(candidate)) <= {"float64"}
    compare(candidate, whole)


def _is_real(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float64


def _has_a_say(record: Record, option: str) -> bool:
    kind = record.options[option]
    return not isinstance(kind, Array) or kind.widens


@pytest.mark.formulations.with_args(
    lambda record: len(record.takes) > 1 and not FRACTIONS & set(record.takes),
    because="they take one array, or fractions",
)
@pytest.mark.parametrize(
    ("first", "others", "expected"),
    [("float32", "float64", "float64"), ("float16", "float32", "float32"), ("float32", "int32", "float64")],
)
def test_arrays_of_several_dtypes_meet_in_the_widest(
    candidate: Candidate, name: str, first: str, others: str, expected: str
) -> None:
    call = example_call(name, np.random.default_rng(0), dtype="float64")

    def cast(value: Any, dtype: str) -> Any:
        if isinstance(value, tuple):
            return tuple(cast(part, dtype) if hasattr(part, "shape") else part for part in value)
        return np.nan_to_num(value, neginf=0).astype(dtype)

    real = {key: value for key, value in call.options.items() if isinstance(value, tuple) or _is_real(value)}
    options = {key: cast(value, others) for key, value in real.items()}
    mixed = call.given(cast(call.arrays[0], first), *(cast(value, others) for value in call.arrays[1:]), **options)
    record = find(name)
    # Labels and random numbers have no say.
    widened = {*record.takes[1:]} - {*record.labels} or any(_has_a_say(record, option) for option in real)
    assert _dtypes(mixed.by(candidate)) <= {expected if widened else first}
    compare(candidate, mixed)


def test_half_precision_accumulates_in_float32(candidate: Candidate, name: str) -> None:
    # The sum of 40 values rounded to float16 at every step would be off by many units of float16.
    width = 8 if simulated() else 40  # one thread after another takes long
    call = example_call(name, np.random.default_rng(0), sizes={"n": 40, "d": width, "m": 3, "e": 3}, dtype="float16")
    in_float32 = call.mapped(lambda array: array.astype(np.float32))
    high, lows = high_and_lows(name, in_float32.arrays, in_float32.options)
    assert_within_budget(in_float32.by(candidate), high, lows)
    expected = tuple(part.astype(np.float16).astype(np.float64) for part in map(np.asarray, flat(high)))
    rounding = 2.0**-10  # one unit of float16, relative
    for actual, wanted in zip(flat(call.by(candidate)), expected, strict=True):
        finite = np.isfinite(wanted)  # logarithms of what is impossible are not
        np.testing.assert_array_equal(actual[~finite], wanted[~finite])
        error = np.abs(actual.astype(np.float64)[finite] - wanted[finite])
        assert np.all(error <= rounding * np.abs(wanted[finite]).max(initial=0))


def test_float64_is_not_computed_in_float32(candidate: Candidate, name: str) -> None:
    compare(candidate, example_call(name, np.random.default_rng(1), dtype="float64", batch=(2,)))


@pytest.mark.formulations.with_args(lambda record: record.returns_weights and is_dense(record), because="no weights")
def test_weights_come_with_the_output(candidate: Candidate, name: str) -> None:
    call = example_call(name, np.random.default_rng(0), batch=(2,)).given(return_weights=True)
    result = call.by(candidate)
    assert type(result) is AttentionResult
    assert result._fields == ("output", "weights")
    assert result.weights.shape == (2, 5, 7)
    compare(candidate, call)


@pytest.mark.parametrize(
    ("formulation", "options", "kind"),
    [
        ("attention_partial", {}, AttentionPartial),
        ("merge_attention_partials", {}, AttentionPartial),
        ("softmax_attention_vjp", {}, AttentionVJP),
        ("softmax_attention_vjp", {"return_grad_bias": True}, AttentionVJPWithBias),
    ],
)
def test_several_results_are_a_named_tuple(
    candidate: Candidate, formulation: str, options: dict[str, Any], kind: type
) -> None:
    call = example_call(formulation, np.random.default_rng(0)).given(**options)
    assert type(call.by(candidate)) is kind


def test_results_are_new_and_writeable(candidate: Candidate, name: str) -> None:
    call = example_call(name, np.random.default_rng(0))
    for part in flat(call.by(candidate)):
        assert part.flags.writeable
        assert not any(np.shares_memory(part, array) for array in call.every_array())
