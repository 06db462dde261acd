"""Errors name the function, the argument, what came and what is needed."""

import numpy as np
import pytest

from attlas_ref.testing import bad_calls, example_call, formulations
from attlas_ref.testing.candidates import Candidate, reference_candidate

REFERENCE = reference_candidate()


@pytest.mark.parametrize("name", formulations(REFERENCE))
def test_mistakes_are_named(name: str) -> None:
    for bad in bad_calls(name):
        with pytest.raises((TypeError, ValueError)) as caught:
            bad.by(REFERENCE)
        assert type(caught.value) is bad.error, bad
        assert str(caught.value).startswith(f"{bad.name}: "), bad
        assert bad.argument in str(caught.value), bad


def test_every_array_and_every_option_is_tried() -> None:
    from attlas_ref.records import find

    for name in formulations(REFERENCE):
        tried = {bad.argument for bad in bad_calls(name)}
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
