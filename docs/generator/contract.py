"""Which test holds each row of the contract, over how many formulations, and which it leaves out: from the tests."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from attlas_ref.records import Record, all_records, find
from attlas_ref.testing import formulations
from attlas_ref.testing.candidates import reference_candidate

TESTS = Path(__file__).parents[2] / "tests"
SHAPES, DTYPES, LAYOUT = (
    "contract.test_contract_shapes",
    "contract.test_contract_dtypes",
    "contract.test_contract_layout",
)
SEEN, BITS = "contract.test_contract_visibility", "contract.test_contract_determinism"
EQUAL, PAIRS = "test_equivalence", "test_pairs"
DRAWN = "test_results_are_within_budget"

ROWS: Mapping[str, Sequence[tuple[str, str]]] = {
    "empty axes": [(SHAPES, "test_an_axis_may_be_empty"), (SHAPES, "test_a_batch_may_be_empty"), (EQUAL, DRAWN)],
    "rows that see nothing": [
        (SEEN, "test_where_nothing_is_visible_there_is_no_nan"),
        (SEEN, "test_a_query_that_sees_nothing_gets_zeros"),
    ],
    "NaN and infinity behind masks": [
        ("contract.test_contract_behind_masks", "test_what_stands_behind_a_mask_cannot_leak"),
        (SEEN, "test_what_stands_behind_the_mask_cannot_leak"),
        (SEEN, "test_gradients_of_what_is_hidden_are_exactly_zero"),
    ],
    "visible NaN": [
        (SEEN, "test_a_visible_nan_in_a_value_reaches_exactly_its_column"),
        ("contract.test_contract_behind_masks", "test_a_nan_among_the_values_reaches_what_the_reference_says"),
        (SEEN, "test_a_visible_nan_in_a_key_reaches_exactly_the_queries_that_see_it"),
        (SEEN, "test_a_nan_in_a_query_reaches_exactly_its_row"),
        (SEEN, "test_a_nan_in_the_bias_reaches_exactly_the_row_that_sees_it"),
    ],
    "causal rule": [(SEEN, "test_causal_lets_the_last_query_see_the_last_key")],
    "precision": [
        (DTYPES, "test_the_dtype_comes_back_as_it_went_in"),
        (DTYPES, "test_half_precision_accumulates_in_float32"),
        (DTYPES, "test_float64_is_not_computed_in_float32"),
        (DTYPES, "test_arrays_of_several_dtypes_meet_in_the_widest"),
    ],
    "integers": [(DTYPES, "test_integers_become_float64")],
    "complex numbers, text, objects; wrong ranks and sizes; unknown and bad options; one message on every engine": [
        (EQUAL, "test_a_bad_call_is_refused_as_the_reference_refuses_it")
    ],
    "strides, read-only memory, byte order": [
        (LAYOUT, "test_each_argument_in_every_layout"),
        (LAYOUT, "test_mask_and_bias_in_another_layout"),
        (LAYOUT, "test_a_stride_that_is_no_whole_number_of_entries"),
        (LAYOUT, "test_arrays_of_the_other_byte_order"),
    ],
    "huge and tiny magnitudes, heavy tails": [(EQUAL, DRAWN), (BITS, "test_nothing_is_warned_of")],
    "every pair of options": [
        (PAIRS, "test_every_pair_of_options"),
        (PAIRS, "test_every_pair_of_options_of_other_formulations"),
    ],
    "inputs are not changed, results are new": [(EQUAL, DRAWN), (DTYPES, "test_results_are_new_and_writeable")],
    "determinism": [
        (BITS, "test_the_same_call_gives_the_same_bits"),
        (BITS, "test_the_rest_of_the_batch_does_not_change_the_bits"),
    ],
}
"""What the page states, and the tests of it: module and name."""
LISTED = 6
"""So many exceptions are named; more are counted."""


def table() -> str:
    """Return a line for each test, with the reason for what it leaves out."""
    lines = ["| row | test | formulations | not |", "| --- | --- | ---: | --- |"]
    every = formulations(reference_candidate())
    for row, tests in ROWS.items():
        for index, (module, name) in enumerate(tests):
            chosen, reason = condition(module, name)
            held = [one for one in every if chosen(find(one))]
            left = [one for one in every if one not in held]
            missing = ", ".join(f"`{one}`" for one in left) if 0 < len(left) <= LISTED else f"{len(left)} others"
            cell = f"{missing}: {reason}" if left else "–"
            lines.append(f"| {row if index == 0 else ''} | `{name}` | {len(held)} of {len(every)} | {cell} |")
    units = len(all_records()) - len(every)
    return "\n".join([*lines, "", f"{units} more formulations take no arrays of numbers, and have tests of their own."])


def condition(module: str, name: str) -> tuple[Callable[[Record], Any], str]:
    """Return which formulations a test is for, and why not the others: from its mark."""
    for mark in getattr(getattr(_module(module), name), "pytestmark", ()):
        if mark.name == "formulations":
            return mark.args[0], mark.kwargs["because"]
    return lambda record: True, ""


@cache
def _module(name: str) -> Any:
    """Import a module of tests, which pytest would import by its bare name."""
    folder, _, module = name.rpartition(".")
    sys.path.insert(0, str(TESTS / folder))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.pop(0)
