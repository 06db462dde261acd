"""Attention as a Gaussian mixture: against scalar loops, and the limits that the paper names."""

import math
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref
from attlas_ref.probabilistic.probabilistic_attention import adapted

RNG = np.random.default_rng(43)
QUERY, KEY, VALUE, GUESS, KNOWN = (RNG.normal(size=s) for s in ((5, 2), (3, 2), (3, 2), (5, 2), (5, 2)))
ALPHA, BETA, TAU, TAU_VALUE = (RNG.uniform(0.2, 2, 3) for _ in range(4))
PRIOR = RNG.uniform(0, 2, (5, 3))
MASK = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 0], [0, 1, 1]], dtype=bool)
FIXED = np.array([True, False, False, True, False])
ENOUGH = {"operations": 2000, "magnitude": 8.0}


def mixture(**options: Any) -> tuple[np.ndarray, np.ndarray]:
    """The definition, one scalar after the other."""
    m, n = len(QUERY), len(KEY)
    alpha, beta = options.get("query_precision", [1 / math.sqrt(2)] * n), options.get("value_precision", [0.0] * n)
    zeta, mu = [list(row) for row in KEY.tolist()], [list(row) for row in VALUE.tolist()]
    prior, guess, mask = options.get("prior", "uniform"), options.get("value_init"), options.get("mask")

    def square(x: Any, y: Any) -> float:
        return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))

    def joint(i: int, j: int) -> float:
        if mask is not None and not mask[i, j]:
            return 0.0
        log = -alpha[j] / 2 * square(QUERY[i], zeta[j])
        if guess is not None:
            log -= beta[j] / 2 * square(guess[i], mu[j])
        if isinstance(prior, str):
            if prior == "magnitude":
                log += alpha[j] / 2 * square(zeta[j], [0, 0]) + beta[j] / 2 * square(mu[j], [0, 0])
            return math.exp(log)
        return float(prior[i, j]) * math.exp(log)

    def responsibilities() -> np.ndarray:
        rows = [[joint(i, j) for j in range(n)] for i in range(m)]
        return np.array([[p / sum(row) if sum(row) else 0.0 for p in row] for row in rows])

    def update(means: Any, start: Any, w: Any, rows: Any, precision: Any, held: Any) -> Any:
        new = []
        for j in range(n):
            mass = sum(w[i, j] for i in range(m))
            total = [sum(w[i, j] * rows[i][c] for i in range(m)) for c in range(2)]
            center = (start if options.get("anchor", "initial") == "initial" else means)[j]
            if held is not None:
                total = [held[j] * center[c] + precision[j] * total[c] for c in range(2)]
                mass = held[j] + precision[j] * mass
            new.append([t / mass for t in total] if mass else means[j])
        return new

    w = responsibilities()
    for _ in range(options.get("key_update_steps", 0)):
        zeta = update(zeta, KEY, w, QUERY, alpha, options.get("key_prior_precision"))
        w = responsibilities()
    if options.get("value_fixed") is not None:
        for _ in range(options.get("value_update_steps", 0)):
            heard = w * options["value_fixed_mask"][:, None]
            mu = update(mu, VALUE, heard, options["value_fixed"], beta, options.get("value_prior_precision"))
            w = responsibilities()
    return w @ np.array(mu), w


SPREAD = {"value_fixed": KNOWN, "value_fixed_mask": FIXED, "value_update_steps": 2, "value_precision": BETA}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"query_precision": ALPHA, "prior": "magnitude", "value_precision": BETA},
    {"query_precision": ALPHA, "value_precision": BETA, "value_init": GUESS, "prior": "magnitude", "mask": MASK},
    {"prior": PRIOR, "value_precision": BETA, "value_init": GUESS, "mask": MASK},
    {"key_update_steps": 2, "mask": MASK},
    {"key_update_steps": 3, "query_precision": ALPHA, "key_prior_precision": TAU, "prior": PRIOR},
    {"key_update_steps": 3, "query_precision": ALPHA, "key_prior_precision": TAU, "anchor": "current"},
    {**SPREAD},
    {**SPREAD, "value_init": GUESS, "value_prior_precision": TAU_VALUE, "mask": MASK},
    {**SPREAD, "prior": "magnitude", "value_prior_precision": TAU_VALUE, "anchor": "current", "key_update_steps": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ",".join(options) or "plain")
def test_a_mixture_is_its_definition(options: dict[str, Any]) -> None:
    output, weights = attlas_ref.probabilistic_attention(QUERY, KEY, VALUE, return_weights=True, **options)
    expected_output, expected_weights = mixture(**options)
    assert_equal_up_to_rounding(weights, expected_weights, **ENOUGH)
    assert_equal_up_to_rounding(output, expected_output, **ENOUGH)


def test_a_scalar_precision_is_one_for_all_keys() -> None:
    one, each = (
        attlas_ref.probabilistic_attention(
            QUERY, KEY, VALUE, query_precision=a, key_prior_precision=a, key_update_steps=2, value_init=GUESS,
            value_precision=a,
        )
        for a in (0.7, np.full(3, 0.7))
    )  # fmt: skip
    np.testing.assert_array_equal(one, each)


def test_without_precision_and_prior_all_keys_become_the_mean_query() -> None:
    weights = attlas_ref.probabilistic_attention(QUERY, KEY, VALUE, query_precision=1e-18, return_weights=True).weights
    moved = adapted(KEY, KEY, np.full(1, 1e-18), None, weights, QUERY, np.ones((5, 3), dtype=bool))
    assert_equal_up_to_rounding(moved, np.tile(QUERY.mean(axis=0), (3, 1)), operations=50)


def test_a_known_row_with_one_unit_gets_its_value() -> None:
    far = 100 * np.array([[1.0, 0], [0, 1.0], [-1.0, -1.0]])  # each query at one key
    fixed = {"value_fixed": KNOWN[:3], "value_fixed_mask": np.array([True, False, True])}
    output = attlas_ref.probabilistic_attention(
        far, far, VALUE, value_precision=1.0, value_prior_precision=1e-18, value_update_steps=1, **fixed
    )
    assert_equal_up_to_rounding(output[[0, 2]], KNOWN[[0, 2]], operations=20)
    np.testing.assert_array_equal(output[1], VALUE[1])


def test_a_unit_that_nobody_sees_keeps_its_place() -> None:
    mask = np.ones((5, 3), dtype=bool)
    mask[:, 1] = False
    lonely = KEY.copy()
    lonely[1] = np.nan
    options = {"key_update_steps": 2, "mask": mask}
    clean = attlas_ref.probabilistic_attention(QUERY, KEY, VALUE, **options)
    np.testing.assert_array_equal(attlas_ref.probabilistic_attention(QUERY, lonely, VALUE, **options), clean)
    weights = np.where(mask, 1 / 2, 0)
    moved = adapted(KEY, KEY, np.ones(1), None, weights, QUERY, mask)
    np.testing.assert_array_equal(moved[1], KEY[1])


def test_the_two_anchors_differ_from_the_second_step_on() -> None:
    once, twice = (
        [
            attlas_ref.probabilistic_attention(
                QUERY, KEY, VALUE, key_update_steps=steps, key_prior_precision=1.0, anchor=anchor
            )
            for anchor in ("initial", "current")
        ]
        for steps in (1, 2)
    )
    np.testing.assert_array_equal(*once)
    assert np.abs(twice[0] - twice[1]).max() > 1e-3


def test_a_nan_in_a_query_spreads_through_the_keys_that_adapt() -> None:
    spoiled = QUERY.copy()
    spoiled[3] = np.nan  # it sees keys 0 and 1
    still = attlas_ref.probabilistic_attention(spoiled, KEY, VALUE, mask=MASK)
    np.testing.assert_array_equal(np.isnan(still).any(axis=-1), [False, False, False, True, False])
    adapting = attlas_ref.probabilistic_attention(spoiled, KEY, VALUE, mask=MASK, key_update_steps=1)
    np.testing.assert_array_equal(np.isnan(adapting).any(axis=-1), [True, True, False, True, True])


@pytest.mark.parametrize("name", ["query_precision", "value_precision", "key_prior_precision", "value_prior_precision"])
def test_a_negative_precision_is_refused_where_its_key_is_seen(name: str) -> None:
    negative = np.array([1.0, -1.0, 1.0])
    with pytest.raises(ValueError, match=f"{name} has a negative entry"):
        attlas_ref.probabilistic_attention(QUERY, KEY, VALUE, **{name: negative})
    hidden = np.array([True, False, True])
    attlas_ref.probabilistic_attention(QUERY, KEY, VALUE, mask=hidden, **{name: negative})


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"prior": "gaussian"}, "prior is 'gaussian'"),
        ({"prior": np.ones((5, 2))}, "prior has 2 columns"),
        ({"anchor": "last"}, "anchor"),
        ({"value_fixed": KNOWN}, "value_fixed_mask is None"),
        ({"value_fixed_mask": FIXED}, "value_fixed is None"),
        ({"key_update_steps": -1}, "key_update_steps"),
        ({"value_update_steps": -1}, "value_update_steps"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        attlas_ref.probabilistic_attention(QUERY, KEY, VALUE, **options)


def test_values_of_rows_that_are_not_fixed_are_never_read() -> None:
    options = {"value_fixed_mask": FIXED, "value_update_steps": 2, "value_precision": BETA}
    known, fouled = (
        attlas_ref.probabilistic_attention(
            QUERY, KEY, VALUE, value_fixed=np.where(FIXED[:, None], KNOWN, other), **options
        )
        for other in (0.0, np.nan)
    )
    np.testing.assert_array_equal(fouled, known)
