"""Segments: against all selections and all segmentations, against PyTorch, long and with large potentials."""

from typing import Any

import numpy as np
import pytest
from enumerated import chain_by_enumeration, segmentations, summed
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(67)
SMALL = {"operations": 400}
"""Sums over some hundred structures of at most 7 parts, whose scores are below about 10."""


@pytest.mark.parametrize("causal", [False, True])
def test_segments_are_those_of_all_selections(causal: bool) -> None:
    query, key = RNG.normal(size=(3, 4)), RNG.normal(size=(6, 4))
    transition, state_bias = RNG.normal(size=(2, 2)), RNG.normal(size=2)
    found = attlas_ref.segmentation_attention(
        query, key, np.eye(6), transition=transition, state_bias=state_bias, causal=causal
    )
    scores = query @ key.T / 2
    for i in range(3):
        n = i + 4 if causal else 6
        unary = np.stack([np.zeros(n), scores[i, :n]], axis=-1) + state_bias
        steps = np.broadcast_to(transition, (n - 1, 2, 2))
        _, marginals, _ = chain_by_enumeration(unary, steps)
        assert_equal_up_to_rounding(found[i, :n], marginals[:, 1], **SMALL)
        assert not found[i, n:].any()


def test_a_liking_for_equal_labels_correlates_neighbors() -> None:
    unary = np.stack([np.zeros(6), RNG.normal(size=6)], axis=-1)

    def correlation(liking: float) -> np.ndarray:
        result = attlas_ref.linear_chain_marginals(unary, liking * np.eye(2))
        both, each = result.pairwise_marginals[:, 1, 1], result.marginals[:, 1]
        return both - each[1:] * each[:-1]

    assert np.abs(correlation(0.0)).max() < 4 * np.finfo(float).eps
    assert (correlation(1.0) > 0).all()
    assert (correlation(-1.0) < 0).all()


@pytest.mark.parametrize(("n", "k", "c"), [(0, 2, 2), (1, 2, 3), (3, 4, 2), (4, 3, 2), (5, 6, 1), (5, 3, 2)])
@pytest.mark.parametrize("hide", [0.0, 0.3])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_semi_markov_marginals_are_those_of_all_segmentations(
    n: int, k: int, c: int, hide: float, scale: float
) -> None:
    scores = scale * RNG.normal(size=(n, k, c, c))
    scores = np.where(RNG.random(scores.shape) < hide, -np.inf, scores)
    result = attlas_ref.semi_markov_marginals(scores)
    log_partition, marginals = summed(
        segmentations(n, k - 1, c), lambda cut: sum(map(scores.__getitem__, cut)), lambda cut: cut, scores.shape
    )
    budget = {"operations": 40, "magnitude": 10 * scale} if scale > 1 else SMALL
    if log_partition == -np.inf:
        assert result.log_partition == -np.inf
    else:
        assert_equal_up_to_rounding(result.log_partition, log_partition, **budget)
    assert_equal_up_to_rounding(result.marginals, marginals, **budget)


def test_long_sequences_of_segments() -> None:
    scores = 1e4 * RNG.normal(size=(3000, 4, 2, 2))
    result = attlas_ref.semi_markov_marginals(scores)
    assert np.isfinite(result.log_partition)
    length = (np.arange(4)[:, None, None] * result.marginals).sum()
    assert abs(length / 3000 - 1) < 3000 * np.finfo(float).eps


@pytest.mark.filterwarnings("ignore")
def test_segments_are_those_of_torch_struct(torch: Any, struct: Any) -> None:
    scores = RNG.normal(size=(2, 5, 4, 3, 3))
    crf = struct.SemiMarkovCRF(torch.from_numpy(scores))
    result = attlas_ref.semi_markov_marginals(scores)
    assert_equal_up_to_rounding(result.log_partition, crf.partition.detach().numpy(), **SMALL)
    assert_equal_up_to_rounding(result.marginals, crf.marginals.detach().numpy(), **SMALL)
