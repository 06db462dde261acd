"""Shapes, broadcasting and arguments: what goes in and what comes out."""

import inspect
from typing import Any

import numpy as np
import pytest

from attlas_ref.contract import Array, size_of
from attlas_ref.contract.results import flat
from attlas_ref.contract.signature import in_line
from attlas_ref.records import all_records, find
from attlas_ref.testing import Call, Candidate, Plan, build, example_call
from attlas_ref.testing.drawn import cores_of, letters_of, result_cores_of
from attlas_ref.testing.pairs import is_dense

DENSE = pytest.mark.formulations.with_args(is_dense, because="they have no mask between queries and keys")


def _expected(call: Call, batch: tuple[int, ...], results: tuple[Any, ...]) -> list[tuple[int, ...]]:
    """The shapes that the signature promises, the sizes being those of the arrays as they were drawn.

    A letter that stands in no argument is counted in the results: there the numbers decide how many there are.
    """
    record = find(call.name)
    sizes: dict[str, int] = {}
    options = {key: in_line(option.core, 2) for key, option in record.options.items() if isinstance(option, Array)}
    arrays = [part for value in call.arrays for part in (value if isinstance(value, tuple) else (value,))]
    given = [(key, core) for key, core in options.items() if hasattr(call.options.get(key), "shape")]
    for array, core in [*zip(arrays, cores_of(record), strict=True), *((call.options[k], core) for k, core in given)]:
        sizes |= dict(zip(core[::-1], array.shape[::-1], strict=False))
    if call.name == "dual_attention":  # its heads stand side by side
        sizes["w"] = sizes["e"] * (sizes["s"] + sizes["h"])
    sizes |= {letter: call.options.get(letter) or sizes[other] for letter, other in record.counts.items()}
    drawn = np.broadcast_shapes(*(a.shape[: a.ndim - len(c)] for a, c in zip(arrays, cores_of(record), strict=True)))
    assert drawn == batch or record.arrange
    if record.outputs is not None:
        return [(*drawn, *core) for core in record.outputs(sizes, call.options)]
    for result, core in zip(results, result_cores_of(record), strict=True):
        counted = zip(core[::-1], result.shape[::-1], strict=False)
        sizes |= {letter: size for letter, size in counted if letter.isidentifier() and letter not in sizes}
    return [
        (*(() if record.pools_batch or place in record.pooled else drawn), *(size_of(letter, sizes) for letter in core))
        for place, core in enumerate(result_cores_of(record))
    ]


@pytest.mark.parametrize("batch", [(), (1,), (2,), (2, 3)])
def test_the_result_has_the_leading_axes_and_the_core_of_the_signature(
    candidate: Candidate, name: str, batch: tuple[int, ...]
) -> None:
    sizes = dict(zip(letters_of(find(name)), (3, 4, 5, 2), strict=False))
    call = example_call(name, np.random.default_rng(0), sizes=sizes, batch=batch)
    results = flat(call.by(candidate))
    assert [part.shape for part in results] == _expected(call, batch, results)


def test_an_axis_may_be_empty(candidate: Candidate, name: str) -> None:
    letters = letters_of(find(name))
    for letter in set(letters) - set(find(name).positive):
        sizes = {**dict.fromkeys(letters, 3), letter: 0}
        call = example_call(name, np.random.default_rng(0), sizes=sizes, batch=(2,))
        results = flat(call.by(candidate))
        assert [part.shape for part in results] == _expected(call, (2,), results), f"{letter} = 0"


def test_a_batch_may_be_empty(candidate: Candidate, name: str) -> None:
    sizes = dict.fromkeys(letters_of(find(name)), 3)
    call = example_call(name, np.random.default_rng(0), sizes=sizes, batch=(2, 0))
    results = flat(call.by(candidate))
    assert [part.shape for part in results] == _expected(call, (2, 0), results)


def _cut(value: Any, core: tuple[str, ...]) -> Any:
    """Take an array without its keys."""
    for axis, letter in enumerate(reversed(core), 1):
        if letter == "n" and np.ndim(value) >= axis and value.shape[-axis] > 1:
            value = value.take([], axis=-axis)
    return value


@DENSE
def test_without_keys_the_result_is_that_of_seeing_nothing(candidate: Candidate, name: str) -> None:
    record, hidden = find(name), build(Plan(name, {"m": 3, "n": 2, "d": 4, "e": 2}, mask="nothing"))
    cores = {key: option.core for key, option in record.options.items() if isinstance(option, Array)}
    arrays = [_cut(x, core) for x, core in zip(hidden.arrays, cores_of(record), strict=True)]
    options = {key: _cut(x, cores.get(key, ())) for key, x in hidden.options.items()} | {"mask": None}
    none = candidate(name, *arrays, **options)
    for empty, nothing in zip(flat(none), flat(hidden.by(candidate)), strict=True):
        if empty.shape == nothing.shape:
            np.testing.assert_array_equal(empty, nothing)
            assert not np.isnan(empty).any()


@DENSE
def test_a_broadcast_argument_acts_as_its_copies(candidate: Candidate, name: str) -> None:
    if "grad_output" in find(name).takes:
        return  # its results have the shapes of the arguments; the law on sums over copies speaks of it
    call = build(
        Plan(name, {"m": 3, "n": 4, "d": 2, "e": 3}, batch=(2, 3), stretch=(1, 3, 0), mask="keys", bias="keys")
    )
    copies = [np.array(np.broadcast_to(x, (2, 3, *x.shape[-2:]))) for x in call.arrays]
    pairs = {key for key, option in find(name).options.items() if getattr(option, "core", ()) == ("m", "n")}
    options = {
        key: np.array(np.broadcast_to(value, (2, 3, 3, 4))) if key in pairs and value is not None else value
        for key, value in call.options.items()
    }
    for given, copied in zip(flat(call.by(candidate)), flat(candidate(name, *copies, **options)), strict=True):
        assert np.broadcast_shapes(given.shape, copied.shape) == copied.shape
        assert np.array_equal(np.isfinite(np.broadcast_to(given, copied.shape)), np.isfinite(copied))


@pytest.mark.parametrize("batch", [(2, 3), (0,)])
@pytest.mark.formulations.with_args(lambda r: "value" in r.takes and r.returns_weights, because="no values or weights")
def test_weights_do_not_know_how_many_values_they_are_for(
    candidate: Candidate, name: str, batch: tuple[int, ...]
) -> None:
    call = example_call(name, np.random.default_rng(0), {"m": 6, "n": 6, "d": 3, "e": 3}, return_weights=True)
    weights = call.by(candidate).weights
    place = find(name).takes.index("value")
    arrays = list(call.arrays)
    arrays[place] = np.array(np.broadcast_to(arrays[place], (*batch, *arrays[place].shape)))
    several = call.given(*arrays).by(candidate).weights
    # A matrix product of another size may sum in another order.
    rounding = 64 * np.finfo(weights.dtype).eps
    np.testing.assert_allclose(several, np.broadcast_to(weights, several.shape), rtol=rounding, atol=rounding)


@pytest.mark.parametrize("record", all_records(), ids=lambda record: record.name)
def test_arrays_come_first_and_options_are_keywords(record: Any) -> None:
    parameters = record.python_signature.parameters.values()
    assert all(p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) for p in parameters)
    keywords = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    # Positional arguments that are no arrays of real numbers are among the options; a utility that checks its own
    # arguments has none in its record.
    assert keywords == set(record.options) - set(record.form.positional) or (record.kind == "U" and not record.options)


def test_options_are_refused_by_position(candidate: Candidate, name: str) -> None:
    call = example_call(name, np.random.default_rng(0))
    with pytest.raises(TypeError, match=name):
        candidate(name, *call.arrays, 1.0, **call.options)


def test_arrays_may_be_given_by_name(candidate: Candidate, name: str) -> None:
    call = example_call(name, np.random.default_rng(0))
    named = dict(zip(find(name).takes, call.arrays, strict=True))
    for one, other in zip(flat(call.by(candidate)), flat(candidate(name, **named, **call.options)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_nested_sequences_are_arrays(candidate: Candidate, name: str) -> None:
    call = example_call(name, np.random.default_rng(0), dtype="float64")
    nested = [tuple(part.tolist() for part in x) if isinstance(x, tuple) else x.tolist() for x in call.arrays]
    lists = candidate(name, *nested, **call.options)
    for one, other in zip(flat(call.by(candidate)), flat(lists), strict=True):
        np.testing.assert_array_equal(one, other)
