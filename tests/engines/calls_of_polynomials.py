"""Calls of Fastmax for engines that have two forms of it: larger than their chunks, with hidden keys and without."""

from collections.abc import Callable
from typing import Any

import numpy as np

from attlas_ref.testing import assert_within_budget, high_and_lows

FORWARD, BACKWARD = "fastmax_attention", "fastmax_attention_vjp"


def tokens(seed: int, m: int, n: int, d: int = 2, e: int = 3, dtype: Any = np.float32) -> list[Any]:
    """Two heads of queries, keys, three values, and the gradient of the output.

    No denominator of odd order is near 0.
    """
    rng = np.random.default_rng(seed)
    query, key = (1 + rng.uniform(-1, 1, (2, rows, d)) for rows in (m, n))
    value, gradient = rng.uniform(-1, 1, (3, 1, n, e)), rng.normal(size=(3, 2, m, e))
    return [x.astype(dtype) for x in (query, key[0], value, gradient)]


def arrays_of(name: str, arrays: list[Any]) -> list[Any]:
    return arrays[: 3 if name == FORWARD else 4]


def check_many_chunks(
    computed: Callable[..., Any],
    name: str,
    m: int,
    n: int,
    order: int,
    causal: bool,
    dtype: Any = np.float32,
    masks: slice = slice(None),
) -> None:
    """Against the reference, with leading axes of their own for queries, values and masks."""
    query, key, value, gradient = tokens(m + n, m, n, dtype=dtype)
    keep = np.random.default_rng(1).random((3, 1, n)) < 0.7
    keep[..., : n // 4] = False
    for key_mask in (None, keep, keep[0, 0])[masks]:
        options = {"order": order, "scale": 0.5, "causal": causal, "key_mask": key_mask}
        arrays = arrays_of(name, [query, key, value, gradient])
        high, lows = high_and_lows(name, arrays, options)
        assert_within_budget(computed(name, *arrays, **options), high, lows, what=f"{name} {m} {n} {options}")


def check_hidden_keys_are_not_felt(computed: Callable[..., Any], m: int, causal: bool) -> None:
    query, key, value, gradient = tokens(11, m, m)
    keep = np.random.default_rng(12).random(m) < 0.5
    options = {"key_mask": keep, "causal": causal}
    clean = computed(FORWARD, query, key, value, **options)
    slopes = computed(BACKWARD, query, key, value, gradient, **options)
    fouled, spoiled = key.copy(), value.copy()
    fouled[~keep], spoiled[..., ~keep, :] = np.nan, np.inf
    np.testing.assert_array_equal(computed(FORWARD, query, fouled, spoiled, **options), clean)
    found = computed(BACKWARD, query, fouled, spoiled, gradient, **options)
    for before, after in zip(slopes, found, strict=True):
        np.testing.assert_array_equal(before, after)
    assert not slopes.grad_key[~keep].any()
    assert not slopes.grad_value[..., ~keep, :].any()


def check_infinite_values_are_summed_pair_by_pair(computed: Callable[..., Any], m: int, causal: bool) -> None:
    query, key, value, gradient = tokens(13, m, m)
    value[..., m // 2, 1] = np.inf
    output = computed(FORWARD, query, key, value, causal=causal)
    expected = np.zeros(output.shape, dtype=bool)
    expected[..., m // 2 if causal else 0 :, 1] = True
    np.testing.assert_array_equal(output == np.inf, expected)
    assert np.isfinite(output[~expected]).all()
    slopes = computed(BACKWARD, query, key, value, gradient, causal=causal)
    assert np.isfinite(slopes.grad_value).all()
