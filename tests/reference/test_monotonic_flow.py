"""Attention as a flow, and how far it travels: against an integrator, SciPy, limits."""

import math
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding
from scipy.integrate import solve_ivp
from scipy.spatial.distance import jensenshannon

import attlas_ref

RNG = np.random.default_rng(67)
SMALL = {"operations": 600}
"""Sums of some dozen shares of at most 1, with logarithms of shares of at least 1e-10."""


def flow(steps: int, n: int, d: int) -> tuple[tuple[np.ndarray, np.ndarray], dict[str, Any]]:
    options = {
        "w_question": RNG.normal(size=(steps, d + 1, d)),
        "b_question": RNG.normal(size=(steps, d)),
        "w_logit": RNG.normal(size=(steps, d + 1)),
        "b_logit": RNG.normal(size=steps),
        "initial": RNG.normal(size=n),
    }
    return (RNG.normal(size=(n, d)), RNG.normal(size=d)), options


@pytest.mark.parametrize("rate", [-30.0, -1.5, -1.0, -1e-3, -1e-9, 0.0, 1e-12, 0.5, 0.999999, 1.0, 3.0])
def test_the_exact_flow_is_that_of_an_integrator(rate: float) -> None:
    (context, question), options = flow(2, 3, 4)
    options["w_logit"][:, -1] = rate
    logits = attlas_ref.daft_attention(context, question, **options, return_logits=True).logits

    a = options["initial"]
    for s in range(2):
        w, b = options["w_question"][s], options["b_question"][s]
        readout, bias = options["w_logit"][s, :-1], options["b_logit"][s]

        def change(t: float, a: np.ndarray) -> np.ndarray:
            asked = np.concatenate([[t], question]) @ w + b  # noqa: B023
            return (asked * context) @ readout + rate * a + bias  # noqa: B023

        tolerance = 1e-12
        a = solve_ivp(change, (0, 1), a, method="DOP853", rtol=tolerance, atol=tolerance).y[:, -1]
        # Errors of earlier parts grow by e^rate, at most.
        size = np.abs(logits[s]).max() + np.abs(options["initial"]).max()
        assert np.abs(logits[s] - a).max() < 1e3 * tolerance * size * max(1.0, math.exp(rate)) ** (s + 1)


def test_small_steps_of_runge_and_kutta_are_exact() -> None:
    arrays, options = flow(3, 4, 5)
    exact = attlas_ref.daft_attention(*arrays, **options, return_logits=True).logits
    errors = {
        (method, count): np.abs(
            attlas_ref.daft_attention(*arrays, **options, method=method, substeps=count, return_logits=True).logits
            - exact
        ).max()
        for method, count in (("rk4", 8), ("rk4", 16), ("rk4", 200), ("euler", 100), ("euler", 200))
    }
    # Halving a step divides the error of Euler by 2, of Runge and Kutta by 16.
    assert 1.9 < errors["euler", 100] / errors["euler", 200] < 2.1
    assert 13 < errors["rk4", 8] / errors["rk4", 16] < 19
    assert errors["rk4", 200] < 20 * errors["rk4", 16] / 12**4 + 1e-12


def test_hidden_positions_have_no_logit() -> None:
    (context, question), options = flow(2, 4, 3)
    mask = np.array([True, False, True, False])
    context[1], context[3], options["initial"][1] = np.nan, np.inf, np.nan
    output, weights, logits = attlas_ref.daft_attention(
        context, question, **options, mask=mask, return_weights=True, return_logits=True
    )
    assert not logits[:, ~mask].any()
    assert not weights[:, ~mask].any()
    assert np.isfinite(output).all()
    nothing = attlas_ref.daft_attention(context, question, **options, mask=np.zeros(4, dtype=bool))
    assert not nothing.any()


def test_a_number_starts_all_logits_alike() -> None:
    arrays, options = flow(2, 4, 3)
    ones = attlas_ref.daft_attention(*arrays, **{**options, "initial": np.full(4, 1.5)})
    np.testing.assert_array_equal(attlas_ref.daft_attention(*arrays, **{**options, "initial": 1.5}), ones)
    single = tuple(x.astype(np.float32) for x in arrays)
    learned = {name: x.astype(np.float32) for name, x in options.items() if name != "initial"}
    assert attlas_ref.daft_attention(*single, **learned, initial=1.5).dtype == np.float32


# The length of a path


def test_moves_are_those_of_scipy() -> None:
    weights = RNG.dirichlet(np.ones(5), size=(3, 6))
    length, steps = attlas_ref.total_transition_length(weights, return_steps=True)
    moves = jensenshannon(weights[:, 1:], weights[:, :-1], base=2, axis=-1) ** 2
    assert_equal_up_to_rounding(steps, moves, **SMALL)
    assert_equal_up_to_rounding(length, moves.sum(axis=-1), **SMALL)


def test_a_jump_is_one_bit() -> None:
    clamp = 1e-10
    steps = attlas_ref.total_transition_length(np.eye(4), clamp=clamp, return_steps=True).steps
    # The clamped entries shift each of the four terms by at most clamp log2(1 / clamp).
    assert np.abs(steps - 1).max() < 4 * clamp * math.log2(1 / clamp)


def test_whatever_moves_has_a_length() -> None:
    weights = RNG.dirichlet(np.ones(5), size=4)
    assert (attlas_ref.total_transition_length(weights, return_steps=True).steps > 0).all()


@pytest.mark.parametrize("steps", [0, 1])
def test_one_step_travels_nowhere(steps: int) -> None:
    length, moves = attlas_ref.total_transition_length(np.full((2, steps, 3), 1 / 3), return_steps=True)
    assert length.tolist() == [0, 0]
    assert moves.shape == (2, 0)
