"""Whole numbers of any size: a window wider than memory could count is a window over everything, or is refused."""

import numpy as np
import pytest

from attlas_ref.contract.options import Integer
from attlas_ref.contract.results import flat
from attlas_ref.records import Record, find
from attlas_ref.testing import Call, Candidate, example_call
from attlas_ref.testing.budget import assert_within_budget, high_and_lows
from attlas_ref.testing.candidates import reference_candidate

REFERENCE = reference_candidate()

WORK = {
    *("steps", "iterations", "inner_steps", "substeps", "key_update_steps", "value_update_steps", "glimpses"),
    *("degree", "order", "neurons", "kernel_size", "m", "size", "length", "prior_length"),
}
"""They count what is computed, or the size of the result."""


def ends(record: Record) -> list[str]:
    """The options that say where something ends, and so may lie beyond every end there is."""
    return [name for name, kind in record.options.items() if isinstance(kind, Integer) and name not in WORK]


@pytest.mark.parametrize("huge", [10**20, -(10**20)])
@pytest.mark.formulations.with_args(ends)
def test_numbers_beyond_64_bits_are_taken_or_refused(candidate: Candidate, name: str, huge: int) -> None:
    for option in ends(find(name)):
        call = example_call(name, np.random.default_rng(0))
        call = Call(name, call.arrays, {**call.options, option: huge})
        refusal = refusal_of(call)
        if refusal:
            with pytest.raises(type(refusal)) as caught:
                call.by(candidate)
            assert str(caught.value) == str(refusal)
            assert str(huge)[:9] in str(refusal), "what came is said"
        else:
            high, lows = high_and_lows(name, call.arrays, call.options)
            result = call.by(candidate)
            assert len(flat(result)) == len(flat(high))
            assert_within_budget(result, high, lows)


def refusal_of(call: Call) -> Exception | None:
    """What the reference raises, if it refuses a call."""
    try:
        call.by(REFERENCE)
    except (TypeError, ValueError) as error:
        return error
    return None
