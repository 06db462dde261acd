"""Compositions of the family variational: what is cut into pieces, and what no draw reaches."""

from typing import Any

import numpy as np
import pytest

import attlas
from attlas.composites import shapes
from attlas_ref.testing import assert_within_budget, high_and_lows

RNG = np.random.default_rng


def in_budget(name: str, *arrays: Any, **options: Any) -> None:
    high, lows = high_and_lows(name, arrays, options)
    assert_within_budget(getattr(attlas, name)(*arrays, **options), high, lows, what=name)


def masses(*shape: int) -> Any:
    return RNG(0).gamma(0.5, size=shape).astype(np.float32) + np.float32(1e-3)


@pytest.mark.parametrize("shape", [(2, 30, 40), (1, 40), (30, 1), (30, 40)], ids=str)
def test_dirichlet_weights_come_in_pieces(monkeypatch: Any, shape: tuple[int, ...]) -> None:
    concentration, value = masses(2, 30, 40), RNG(1).normal(size=(40, 3)).astype(np.float32)
    mask = RNG(2).random(shape) < 0.7
    options: dict[str, Any] = {"mask": mask, "return_weights": True}
    whole = attlas.dirichlet_attention(concentration, value, **options)
    monkeypatch.setattr(shapes, "ENTRIES", 7 * 80)
    for one, other in zip(attlas.dirichlet_attention(concentration, value, **options), whole, strict=True):
        np.testing.assert_array_equal(one, other)
    in_budget("dirichlet_attention", concentration, value, **options)


@pytest.mark.parametrize("size", [0.1, 1e-30, 1e30])
def test_many_equal_concentrations_share_equally(size: float) -> None:
    concentration = np.full((3, 3001), size, dtype=np.float32)
    in_budget("dirichlet_attention", concentration, RNG(0).normal(size=(3001, 2)).astype(np.float32))
    in_budget("dirichlet_attention", concentration, concentration.T[:, :1], return_weights=True)


def test_many_samples_come_in_pieces(monkeypatch: Any) -> None:
    logits, rewards = (RNG(seed).normal(size=(2, size)).astype(np.float32) for seed, size in ((0, 9), (1, 50)))
    samples, mask = RNG(2).integers(9, size=(2, 50)), RNG(3).random((2, 9)) < 0.7
    for entries in (shapes.ENTRIES, 100, 1):
        monkeypatch.setattr(shapes, "ENTRIES", entries)
        options = {"samples": samples, "baseline": 0.5, "mask": mask}
        in_budget("alignment_score_gradient", logits, rewards, **options)


def test_numbers_and_lists_stand_beside_arrays_of_any_library() -> None:
    torch = pytest.importorskip("torch")
    logits, rewards = (RNG(seed).normal(size=3).astype(np.float32) for seed in (0, 1))
    samples = [0, 2, 2]
    expected = attlas.alignment_score_gradient(logits, rewards, samples=samples, baseline=0.5)
    found = attlas.alignment_score_gradient(
        torch.from_numpy(logits), torch.from_numpy(rewards), samples=samples, baseline=0.5
    )
    np.testing.assert_array_equal(found.numpy(), expected)
    assert isinstance(
        attlas.alignment_score_gradient(torch.from_numpy(logits), torch.from_numpy(rewards)), torch.Tensor
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_dirichlet_distributions_are_not_apart(dtype: Any) -> None:
    a = np.geomspace(1e-3, 1e6, 12, dtype=dtype)
    in_budget("dirichlet_kl", a, a)
