"""The tests are tested: whatever is wrong with a function, drawn calls show it; what is right passes."""

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings
from impostors import FAULTS, quietly, streamed

from attlas_ref.contract import Array, Indices, Integer, Labels, Levels, Number, Partial
from attlas_ref.contract.reference import tuple_like
from attlas_ref.records import Record, all_records, find
from attlas_ref.testing import Candidate, check_equivalence
from attlas_ref.testing.laws.inputs import is_attention

ATTENTIONS = [record.name for record in all_records() if is_attention(record)]


EXAMPLES = 100
"""Fewer than `make thorough` tests equivalence with."""
RARE = 400
"""For what shows in one dtype only, and there only with loud scores."""


@pytest.fixture(autouse=True)
def without_shrinking() -> Iterator[None]:
    """A fault has to be found, its smallest example need not; and it has to be found within the usual number."""
    before = settings.default
    settings.register_profile(
        "find", before, phases=[Phase.generate], derandomize=True, database=None, max_examples=150
    )
    settings.load_profile("find")
    yield
    settings.register_profile("before", before)
    settings.load_profile("before")


def _caught(function: Any, name: str, examples: int = EXAMPLES) -> bool:
    try:
        check_equivalence(Candidate.of(function, name), name, max_examples=examples)
    except AssertionError:
        return True
    return False


def test_a_correct_function_passes() -> None:
    check_equivalence(Candidate.of(quietly(streamed), "softmax_attention"), "softmax_attention", max_examples=EXAMPLES)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(fault: str) -> None:
    examples = RARE if fault == "float16 sums" else EXAMPLES
    assert _caught(quietly(streamed, fault=fault), "softmax_attention", examples)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_zeros_are_caught(name: str) -> None:
    assert _caught(_changed(name, np.zeros_like), name)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_the_mean_of_the_values_is_caught(name: str) -> None:
    def mean(query: Any, key: Any, value: Any, **options: Any) -> Any:
        mask, causal = options.get("mask"), options.get("causal", False)
        return find("softmax_attention").reference(0 * np.nan_to_num(query), key, value, mask=mask, causal=causal)

    assert _caught(mean, name)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_a_copy_of_the_values_is_caught(name: str) -> None:
    def copy(query: Any, key: Any, value: Any, **options: Any) -> Any:
        result = find(name).reference(query, key, value, **options)
        return _mapped(result, lambda part: np.resize(value, part.shape).astype(part.dtype))

    assert _caught(copy, name)


CHOICES = {"linear_chain_argmax", "linear_chain_sample", "monotonic_hard_alignment", "sequential_attention_select"}
"""Whole numbers, which are the same in every precision unless a rare draw lies at the edge."""
ROUNDED = [record.name for record in all_records() if record.takes and record.kind != "U"]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", [name for name in ROUNDED if name not in CHOICES])
def test_float32_passed_off_as_float64_is_caught(name: str) -> None:
    def single(*arrays: Any, **options: Any) -> Any:
        def cast(value: Any) -> Any:
            return tuple(map(cast, value)) if isinstance(value, tuple) else value.astype(np.float32)

        exact = find(name).reference(*arrays, **options)
        with np.errstate(all="ignore"):
            rounded = find(name).reference(*map(cast, arrays), **options)
            parts = iter(_parts(rounded))
            return _mapped(exact, lambda like: next(parts).astype(like.dtype))

    assert _caught(single, name)


SLOT_CONSTANTS = ("b_query", "norm_slots_bias")
"""What all slots have alike cancels where they compete."""
POINTERS = ("monotonic_energy", "monotonic_attention", "mocha_attention")
"""Of `v` only the direction counts; each `score` has its own parameters."""
WITHOUT_EFFECT = {
    ("memory_efficient_attention", "query_chunk_size"),
    ("memory_efficient_attention", "key_chunk_size"),
    ("softmax_attention_vjp", "key_chunk_size"),
    ("prefix_attention", "method"),
    ("neural_attention", "bias3"),
    ("conditioned_attention", "score_bias"),
    ("entmax", "method"),
    ("entmax", "iterations"),
    ("tensor_attention_lowrank", "kernel"),
    *((name, option) for name in ("slot_attention", "conditional_slot_attention") for option in SLOT_CONSTANTS),
    *(("sinkhorn_attention", f"{side}_marginal") for side in ("query", "key")),
    *(("conditional_transport", f"{side}_weights") for side in ("row", "column")),
    ("show_attend_attention", "b_score"),
    ("dirichlet_attention", "gamma"),
    *((name, "v") for name in POINTERS),
    ("sampled_monotonic_alignment", "previous"),
    ("monotonic_hard_alignment", "previous"),
    ("coverage_attention", "b_v"),
    ("build_token_tree", "aggregator"),
    ("tree_cross_attention", "aggregator"),
    ("sequential_attention_select", "method"),
    ("forward_attention", "b_v"),
    ("differentiable_average_lagging", "target_length"),
    *((name, "prior") for name in ("structural_prior_attention", "probabilistic_attention")),
}
"""Two ways to the same result, a constant that a normalizer takes out again, the only choice so far, weights whose
total does not matter, so that half of them do as well, or what is taken because the neighbors take it."""
NEVER_DRAWN = {
    *((name, "axis") for name in ("sparsemax", "entmax", "sparsemax_vjp", "entmax_vjp")),
    ("selective_attention", "select_head"),
    ("relational_attention", "symbols_relative"),
    ("tree_cross_attention", "levels"),
    ("gaussian_adaptive_attention", "axis"),
}
"""They change what the axes of the arguments are, or take their place; laws speak of them."""
NEVER_ALONE = {
    ("sdm_attention", "neurons"),
    ("sdm_neuron_attention", "bipolar"),
    ("latent_alignment_bounds", "mask"),
    ("probabilistic_attention", "value_fixed_mask"),
    ("gaussian_adaptive_attention", "heads"),
    *(("smoothed_energy_attention", side) for side in ("height", "width")),
    *(("sag_degrade", side) for side in ("map_height", "map_width")),
    *((name, "score") for name in (*POINTERS, "pointer_attention")),
    ("conditioned_attention", "method"),
    ("monotonic_multihead_attention", "chunk_size"),
    ("location_attender", "simplified"),
}
"""Without them the rest of the call is refused: `uniforms` that nobody needs, bits of another kind, sums above 1, one
side of a grid, rows for other heads, parameters of another form."""
SELDOM = {
    ("monotonic_location_attention", "step_bias"),
    ("luong_attention", "b_query"),
    ("combiner_mixture_attention", "summary"),
    ("pointer_network_decode", "beam_width"),
    ("cosine_attention", "eps"),
    ("luong_local_attention", "score"),
}
"""They count with one choice of another option only, with many sizes alone, or for rows of zeros."""
OPTIONS = [
    (record.name, option)
    for record in all_records()
    for option in record.options
    if record.kind != "U" and (record.name, option) not in WITHOUT_EFFECT | NEVER_DRAWN | NEVER_ALONE
]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=[f"{name}-{option}" for name, option in OPTIONS])
def test_an_ignored_option_is_caught(name: str, option: str) -> None:
    def deaf(*arrays: Any, **options: Any) -> Any:
        try:
            return find(name).reference(*arrays, **{**options, option: _misheard(find(name), option, options)})
        except ValueError:  # what it takes for granted does not go with the rest of this call
            return find(name).reference(*arrays, **options)

    assert _caught(deaf, name, RARE if (name, option) in SELDOM else EXAMPLES)


def test_a_modified_input_is_caught() -> None:
    def careless(query: Any, key: Any, value: Any, **options: Any) -> Any:
        result = find("softmax_attention").reference(query, key, value, **options)
        if query.flags.writeable and query.size:
            query *= 2
        return result

    assert _caught(careless, "softmax_attention")


def test_a_plain_tuple_is_caught() -> None:
    def plain(*arrays: Any, **options: Any) -> Any:
        result = find("softmax_attention").reference(*arrays, **options)
        return tuple(result) if isinstance(result, tuple) else result

    assert _caught(plain, "softmax_attention")


def _misheard(record: Record, option: str, options: dict[str, Any]) -> Any:
    """Something else that is just as valid: half of a learned array, else what an option is if nobody gives it."""
    default, kind = record.python_signature.parameters[option].default, record.options[option]
    value = options.get(option, default)
    if isinstance(kind, Array) and not kind.boolean and value is not None and not isinstance(value, str):
        return value / 2
    if isinstance(kind, Partial) and value is not None:
        return tuple(part / 2 for part in value)
    if isinstance(kind, Levels) and value is not None:
        return tuple((nodes / 2, flags) for nodes, flags in value)
    if default is not inspect.Parameter.empty:
        return default
    if isinstance(kind, Array):
        return ~value
    if isinstance(kind, Labels):
        return value[1:]
    if isinstance(kind, Indices):
        return np.zeros_like(value)
    if isinstance(kind, Number) and value + 1 >= kind.high:
        return value / 2
    if isinstance(kind, Integer):
        return value + 2  # what has to be odd stays odd
    return slice(None) if isinstance(value, slice) else value + 1


def _parts(result: Any) -> tuple[Any, ...]:
    return tuple(part for one in result for part in _parts(one)) if isinstance(result, tuple) else (result,)


def _mapped(result: Any, change: Any) -> Any:
    return tuple_like(result, (_mapped(x, change) for x in result)) if isinstance(result, tuple) else change(result)


def _changed(name: str, change: Any) -> Any:
    return lambda *arrays, **options: _mapped(find(name).reference(*arrays, **options), change)
