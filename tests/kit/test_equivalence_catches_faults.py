"""The tests are tested: whatever is wrong with a function, drawn calls show it; what is right passes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings
from impostors import FAULTS, quietly, streamed

from attlas_ref.records import all_records, find
from attlas_ref.testing import Candidate, check_equivalence
from attlas_ref.testing.laws.inputs import is_attention

ATTENTIONS = [record.name for record in all_records() if is_attention(record)]


EXAMPLES = 100
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
    assert not _caught(quietly(streamed), "softmax_attention")


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


@pytest.mark.parametrize("name", [record.name for record in all_records() if record.takes and record.kind != "U"])
def test_float32_passed_off_as_float64_is_caught(name: str) -> None:
    def single(*arrays: Any, **options: Any) -> Any:
        def cast(value: Any) -> Any:
            return tuple(map(cast, value)) if isinstance(value, tuple) else value.astype(np.float32)

        exact = find(name).reference(*arrays, **options)
        with np.errstate(all="ignore"):
            rounded = find(name).reference(*map(cast, arrays), **options)
        parts = zip(_parts(rounded), _parts(exact), strict=True)
        cast_back = [part.astype(like.dtype) for part, like in parts]
        return type(exact)(*cast_back) if isinstance(exact, tuple) else cast_back[0]

    assert _caught(single, name)


WITHOUT_EFFECT = {"key_chunk_size", "query_chunk_size"}
OPTIONS = [
    (record.name, option)
    for record in all_records()
    for option in record.options
    if option not in WITHOUT_EFFECT and record.kind != "U"
]


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=[f"{name}-{option}" for name, option in OPTIONS])
def test_an_ignored_option_is_caught(name: str, option: str) -> None:
    default = find(name).python_signature.parameters[option].default
    default = 2.0 if default is find(name).python_signature.empty else default

    def deaf(*arrays: Any, **options: Any) -> Any:
        return find(name).reference(*arrays, **{**options, option: default})

    assert _caught(deaf, name)


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


def _parts(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, tuple) else (result,)


def _mapped(result: Any, change: Any) -> Any:
    return type(result)(*map(change, result)) if isinstance(result, tuple) else change(result)


def _changed(name: str, change: Any) -> Any:
    return lambda *arrays, **options: _mapped(find(name).reference(*arrays, **options), change)
