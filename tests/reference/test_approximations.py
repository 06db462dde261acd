"""What stands in for another formulation is tied to it, and is not the same."""

import numpy as np
import pytest

import attlas_ref
from attlas_ref.records import all_records, find
from attlas_ref.testing import example_call
from attlas_ref.testing.laws import laws_of

APPROXIMATIONS = [record.name for record in all_records() if record.approximates]


@pytest.mark.parametrize("name", APPROXIMATIONS)
def test_it_is_not_what_it_stands_in_for(name: str) -> None:
    other = find(find(name).approximates or "")
    call = example_call(name, np.random.default_rng(0), {"n": 30, "m": 6}, dtype="float64")
    theirs = {option: value for option, value in call.options.items() if option in other.options}
    if "combiner" in name:
        theirs["causal"] = True
    query, *rest = call.arrays
    arrays = (query, *rest[:2])  # the axial factorization has keys of its own for its summaries
    difference = np.abs(call.by(lambda n, *a, **o: find(n).reference(*a, **o)) - other.reference(*arrays, **theirs))
    assert difference.max() > 1e-3


@pytest.mark.parametrize("name", APPROXIMATIONS)
def test_a_law_ties_the_two(name: str) -> None:
    other = find(name).approximates
    if name == "combiner_logsparse_attention":  # whose shortest groups are single tokens
        query, key, value = np.random.default_rng(0).normal(size=(3, 2, 4))
        ours = attlas_ref.combiner_logsparse_attention(query, key, value)
        expected = attlas_ref.softmax_attention(query, key, value, causal=True)
        assert np.abs(ours - expected).max() < 50 * np.finfo(float).eps
    else:
        assert any(other in (*law.subjects, *law.ties) for law in laws_of(name))
