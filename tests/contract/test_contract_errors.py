"""Errors name the function, the argument, what came and what is needed."""

import numpy as np
import pytest

from attlas_ref.testing import BadCall, bad_calls, example_call, formulations
from attlas_ref.testing.candidates import Candidate, reference_candidate

REFERENCE = reference_candidate()
BAD_CALLS = [bad for name in formulations(REFERENCE) for bad in bad_calls(name)]


@pytest.mark.parametrize("bad", BAD_CALLS, ids=repr)
def test_a_mistake_is_named(bad: BadCall) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        bad.by(REFERENCE)
    assert type(caught.value) is bad.error
    assert str(caught.value).startswith(f"{bad.name}: ")
    assert bad.argument in str(caught.value)


def test_every_array_and_every_option_is_tried() -> None:
    from attlas_ref.records import find

    for name in formulations(REFERENCE):
        tried = {bad.argument for bad in BAD_CALLS if bad.name == name}
        assert tried >= {*find(name).takes, *find(name).options}


def test_shapes_are_shown_as_they_came(candidate: Candidate) -> None:
    query, key, value = np.zeros((2, 5, 4)), np.zeros((2, 9, 4)), np.zeros((7, 3))
    with pytest.raises(ValueError) as caught:
        candidate("softmax_attention", query, key, value)
    assert str(caught.value) == (
        "softmax_attention: value has 7 rows and key has 9; both need n rows (key (2, 9, 4), value (7, 3))"
    )


def test_a_good_call_is_not_refused(candidate: Candidate, name: str) -> None:
    example_call(name, np.random.default_rng(0), batch=(2,)).by(candidate)
