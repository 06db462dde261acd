"""The test kit: what every implementation of a formulation has to pass, ours and yours.

Three lines judge a function of yours by the same drawn calls, budgets and laws as our engines:

>>> from attlas_ref.testing import Candidate, check_equivalence
>>> from attlas_ref import softmax_attention  # yours goes here
>>> check_equivalence(Candidate.of(softmax_attention, "softmax_attention"), "softmax_attention", max_examples=10)

A wrong one gets the smallest call that shows it. Here the mean of the values poses as attention:

>>> import numpy as np
>>> def mean_of_values(query, key, value, **options):
...     return softmax_attention(np.zeros_like(query), key, value, **{**options, "bias": None})
>>> check_equivalence(
...     Candidate.of(mean_of_values, "softmax_attention"), "softmax_attention", max_examples=50
... )  # doctest: +ELLIPSIS
Traceback (most recent call last):
    ...
AssertionError: ...

- `budget`: how large an error may be, computed from the inputs (`assert_within_budget`, `high_and_lows`);
- `plan`, `drawn`: calls and plans of them, made without Hypothesis (`example_call`, `build`);
- `strategies`: calls drawn by Hypothesis from a record;
- `laws`: theorems that tie formulations together;
- `faults`: calls that must be refused;
- `candidates`: what this process can run (`candidates.candidates()`);
- `pairwise`: few rows in which every pair of choices occurs;
- `checks`: the checks themselves;
- `fuzz`: the same on random calls until a time is up, and files that keep what fails;
- `zoo`: famous bugs, to try tests on.

Importing this package imports none of them; those that draw need Hypothesis (``pip install attlas[testing]``).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .budget import assert_within_budget, error_in_budgets, high_and_lows
    from .candidates import Candidate
    from .checks import check_equivalence, check_law, check_laws, compare, formulations
    from .drawn import build, example_call
    from .faults import BadCall, bad_calls
    from .fuzz import Counterexample
    from .laws import Law, all_laws, laws_of
    from .plan import Call, Plan
    from .strategies import calls

_HOMES = {
    "budget": ("assert_within_budget", "error_in_budgets", "high_and_lows"),
    "candidates": ("Candidate",),
    "checks": ("check_equivalence", "check_law", "check_laws", "compare", "formulations"),
    "drawn": ("build", "example_call"),
    "faults": ("BadCall", "bad_calls"),
    "fuzz": ("Counterexample",),
    "laws": ("Law", "all_laws", "laws_of"),
    "plan": ("Call", "Plan"),
    "strategies": ("calls",),
}
"""Which module holds what; loaded when first asked for. A function named after its module stays there."""

__all__ = [
    "BadCall",
    "Call",
    "Candidate",
    "Counterexample",
    "Law",
    "Plan",
    "all_laws",
    "assert_within_budget",
    "bad_calls",
    "build",
    "calls",
    "check_equivalence",
    "check_law",
    "check_laws",
    "compare",
    "error_in_budgets",
    "example_call",
    "formulations",
    "high_and_lows",
    "laws_of",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
