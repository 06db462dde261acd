"""What the figures of memories compute for themselves: a fitted beta, and the theory of capacity."""

from typing import Any

import numpy as np
import pytest
from built_site import ROOT

from attlas_ref import sdm_beta

RNG = np.random.default_rng(3)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from figures.memory import betas, bits

    return {"betas": betas, "bits": bits}


def test_the_beta_of_equal_lengths_is_their_product(memory: Any) -> None:
    query, key = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in RNG.normal(size=(2, 20, 8)))
    fit = memory["betas"].fit_beta(3 * query, 5 * key)
    rounding = 20 * 20 * 8 * np.finfo(float).eps
    assert abs(fit.beta / (15 / np.sqrt(8)) - 1) < rounding
    assert abs(fit.explained - 1) < rounding


def test_the_fit_is_least_squares_with_a_constant_per_query(memory: Any) -> None:
    query, key = RNG.normal(size=(6, 4)), RNG.normal(size=(9, 4))
    scores = 0.7 * query @ key.T
    logs = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    cosines = query @ key.T / np.linalg.norm(query, axis=-1)[:, None] / np.linalg.norm(key, axis=-1)
    columns = np.concatenate([cosines.reshape(-1, 1), np.kron(np.eye(6), np.ones((9, 1)))], axis=-1)
    solution, residual, *_ = np.linalg.lstsq(columns, logs.ravel())
    fit = memory["betas"].fit_beta(query, key, scale=0.7)
    rounding = 6 * 9 * 10 * np.finfo(float).eps * float(np.linalg.cond(columns)) ** 2
    assert abs(fit.beta - solution[0]) < rounding
    within = ((logs - logs.mean(axis=-1, keepdims=True)) ** 2).sum()
    assert abs(fit.explained - (1 - residual[0] / within)) < rounding


def test_predicted_betas_are_those_of_the_optimal_radii(memory: Any) -> None:
    low, high = memory["betas"].predicted_betas(32)
    assert (low, high) == (sdm_beta(dim=32, radius=10), sdm_beta(dim=32, radius=7))


def test_capacity_is_the_theory_of_its_paper(memory: Any) -> None:
    bits = memory["bits"]
    for degree, factor in ((2, 1), (3, 3), (4, 15)):  # (2p − 3)!!
        expected = 50 ** (degree - 1) / (2 * factor * np.log(50))
        assert abs(bits.capacity(degree, 50) / expected - 1) < 50 * np.finfo(float).eps
        share = bits.stable_share(degree, 50, np.array([expected / 100, expected, 100 * expected]))
        assert share[0] > 0.99 > share[1] > 0.5 > share[2]
