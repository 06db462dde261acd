"""Attention that moves from its own last weights: more steps and keys than drawn calls have."""

import numpy as np
import pytest

from attlas.dispatch import call_on
from attlas.engines import TABLE, cupy_on_numpy, simulated
from attlas_ref.testing import Candidate, assert_within_budget
from attlas_ref.testing.budget import high_and_lows

ENGINES = {"numba": TABLE["numba"], "cupy-as-numpy": cupy_on_numpy()}
M, N, WIDTH = 67, 211, 3
"""More steps than are kept at a time, more keys than are scored at a time."""


def numbers(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def scored(rng):
    return {"w_query": numbers(rng, 2, 5), "w_key": numbers(rng, 4, 5), "v": numbers(rng, 5), "b_key": numbers(rng, 5)}


def convolution(rng, channels=1):
    return {"conv": numbers(rng, 3, channels, 7) / 3, "w_location": numbers(rng, 3, 5)}


def locator(rng):
    return {"w_state": numbers(rng, 2, 4), "b_state": numbers(rng, 4), "w_sigma": numbers(rng, 4)}


CALLS = {
    "location_sensitive_attention": lambda rng: scored(rng) | convolution(rng, 2) | {"feedback": "both"},
    "dynamic_convolution_attention": lambda rng: {
        "w_query": numbers(rng, 2, 5),
        "b_query": numbers(rng, 5),
        "w_dynamic": numbers(rng, 5, 18),
        "conv": numbers(rng, 3, 1, 5),
        "w_static": numbers(rng, 3, 5),
        "w_feature": numbers(rng, 2, 5),
        "b_feature": numbers(rng, 5),
        "v": numbers(rng, 5),
    },
    "forward_attention": lambda rng: (
        scored(rng) | convolution(rng) | {"agent": True, "w_agent": numbers(rng, WIDTH + 2), "smooth": 0.001}
    ),
    "gmm_attention": lambda rng: {
        "w_hidden": numbers(rng, 2, 4),
        "b_hidden": numbers(rng, 4),
        "w_params": numbers(rng, 4, 9),
        "b_params": numbers(rng, 9),
        "sigma_floor": 1.0,
        "normalize": True,
    },
    "monotonic_location_attention": lambda rng: (
        locator(rng)
        | {"w_rho": numbers(rng, 4), "w_mix": numbers(rng, 2)}
        | {"key": numbers(rng, N, 4), "content_query": numbers(rng, M, 4)}
    ),
    "location_attender": lambda rng: locator(rng) | {"w_rho": numbers(rng, 4, 3), "simplified": False},
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CALLS)
def test_many_steps_and_keys_with_a_hidden_nan(name, engine):
    rng = np.random.default_rng(11)
    options = CALLS[name](rng)
    mask = np.arange(N) < N - 2
    value = numbers(rng, N, WIDTH)
    value[-1, 1] = np.nan
    arrays = [numbers(rng, M, 2), numbers(rng, N, 4), value] if "w_key" in options else [numbers(rng, M, 2), value]
    options |= {"mask": mask, "return_weights": True}
    high, lows = high_and_lows(name, arrays, options)
    assert_within_budget(call_on(ENGINES[engine], name, *arrays, **options), high, lows, name)


def test_a_gate_that_is_no_number_does_not_reach_hidden_keys(candidate: Candidate) -> None:
    rng = np.random.default_rng(0)
    query, value, key = numbers(rng, 3, 2), numbers(rng, 5, WIDTH), numbers(rng, 5, 4)
    gate = {"w_mix": np.float32([np.nan, 0]), "content_query": numbers(rng, 3, 4)}
    call = locator(rng) | gate | {"w_rho": numbers(rng, 4)}
    mask = np.arange(5) < 3
    _, weights = candidate(
        "monotonic_location_attention", query, value, key=key, mask=mask, return_weights=True, **call
    )
    np.testing.assert_array_equal(np.isnan(weights), np.broadcast_to(mask, weights.shape))
    assert not weights[:, ~mask].any()


@pytest.mark.parametrize("version", [0, 1])
def test_bells_anywhere_and_of_any_width(version, candidate: Candidate) -> None:
    """A bell ends where an exponential becomes 0: before the keys, among them or behind; never beside a NaN."""
    inf = np.inf
    among = [0, 7.3, 99.5] if simulated() else np.linspace(0, 115, 31)
    means = [-inf, -1e30, -20, *among, 1e4, 1e30, inf, np.nan]
    bells = [(0, mean, width) for mean in means for width in (-240, -20, 0, 2, 5, 12, 88, 240)]
    bells += [(100, mean, 0) for mean in means]
    heights, means, widths = np.float32(bells).T
    scale = np.float32(2**20)  # so small a number is its own hyperbolic tangent
    steps = np.full_like(means, -200)  # exp(-200) is 0
    query = np.stack([heights, steps, widths], axis=-1)[:, None] / scale
    call = {
        "w_hidden": np.eye(3, dtype=np.float32),
        "b_hidden": np.zeros(3, np.float32),
        "w_params": scale * np.eye(3, dtype=np.float32),
        "b_params": np.zeros(3, np.float32),
        "initial_mean": means[:, None],
        "version": version,
        "return_weights": True,
    }
    with np.errstate(all="ignore"):
        output, weights = candidate("gmm_attention", query, np.ones((113, 1), np.float32), **call)
        offsets = np.arange(113, dtype=np.float32) - means[:, None, None]
        width = np.sqrt(np.exp((1 - 2 * (version == 0)) * widths) / (2 - version))[:, None, None]
        height = np.exp(heights)[:, None, None] if version == 0 else 1 / np.sqrt(2 * np.float32(np.pi) * width**2)
        expected = height * np.exp(-(offsets**2) / (2 * width**2))
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=3e-45)
    np.testing.assert_allclose(output, expected.sum(axis=-1, keepdims=True), rtol=1e-4, atol=1e-36)
