"""Selection of features and of beams: least squares, LASSO by coordinate descent, scikit-learn, and enumeration."""

import itertools
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

from attlas_ref import (
    diverse_beam_step,
    orthogonal_matching_pursuit,
    sequential_attention_select,
    sequential_attention_weights,
)

RNG = np.random.default_rng(47)
ENOUGH = {"operations": 400, "magnitude": 10.0}


def problem(rows: int = 30, columns: int = 9) -> tuple[np.ndarray, np.ndarray]:
    features = RNG.normal(size=(rows, columns))
    return features / np.sqrt((features**2).sum(axis=0)), RNG.normal(size=rows)


def pursued(features: np.ndarray, target: np.ndarray, k: int) -> tuple[list[int], np.ndarray]:
    """Matching pursuit with LAPACK's least squares."""
    order: list[int] = []
    fitted = np.zeros(0)
    for _ in range(k):
        residual = target - features[:, order] @ fitted
        free = [j for j in range(features.shape[1]) if j not in order]
        order.append(max(free, key=lambda j: abs(features[:, j] @ residual)))
        fitted = np.linalg.lstsq(features[:, order], target, rcond=None)[0]
    return order, fitted


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_matching_pursuit_by_least_squares(k: int) -> None:
    for _ in range(5):
        features, target = problem()
        order, fitted = pursued(features, target, k)
        found = orthogonal_matching_pursuit(features, target, k=k, return_coefficients=True)
        np.testing.assert_array_equal(found.order, order)
        assert_equal_up_to_rounding(found.coefficients[order], fitted, **ENOUGH)
        assert np.count_nonzero(found.coefficients) == k


def test_matching_pursuit_of_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is no dependency")
    for k in (1, 3, 6):
        features, target = problem()
        expected = linear.orthogonal_mp(features, target, n_nonzero_coefs=k)
        found = orthogonal_matching_pursuit(features, target, k=k, return_coefficients=True)
        assert_equal_up_to_rounding(found.coefficients, expected, **ENOUGH)


def entered(features: np.ndarray, target: np.ndarray, chosen: list[int]) -> list[int]:
    """The features that a LASSO just below its largest penalty uses, those chosen being free: coordinate descent."""
    basis = np.linalg.qr(features[:, chosen])[0] if chosen else np.zeros((len(target), 0))
    apart = features - basis @ (basis.T @ features)
    rest = target - basis @ (basis.T @ target)
    free = [j for j in range(features.shape[1]) if j not in chosen]
    penalty = (1 - 1e-6) * max(abs(apart[:, j] @ rest) for j in free)
    beta = np.zeros(features.shape[1])
    for _ in range(200):
        for j in free:
            slope = apart[:, j] @ (rest - apart @ beta) + (apart[:, j] @ apart[:, j]) * beta[j]
            beta[j] = np.sign(slope) * max(abs(slope) - penalty, 0) / (apart[:, j] @ apart[:, j])
    return np.flatnonzero(beta).tolist()


def test_the_feature_that_enters_is_that_of_the_solved_lasso() -> None:
    features, target = problem()
    order = sequential_attention_select(features, target, k=6, method="lasso").tolist()
    for t, feature in enumerate(order):
        assert entered(features, target, order[:t]) == [feature]
    assert order == sequential_attention_select(features, target, k=6).tolist()


def test_a_factor_and_a_coefficient_cost_as_much_as_their_product() -> None:
    # min over w b = c of (w² + b²) / 2 is |c|: never below, and reached at |w| = |b|.
    w = np.geomspace(1e-3, 1e3, 100_001)
    for c in (-3.0, -0.1, 0.5, 2.0):
        cost = (w**2 + (c / w) ** 2) / 2
        assert cost.min() >= abs(c) * (1 - 4 * np.finfo(float).eps)
        root = np.sqrt(abs(c))
        np.testing.assert_allclose((root**2 + (c / root) ** 2) / 2, abs(c), rtol=4 * np.finfo(float).eps)


def test_what_cannot_be_selected_is_refused() -> None:
    features, target = problem(5, 4)
    for function in (orthogonal_matching_pursuit, sequential_attention_select):
        name = function.__name__
        with pytest.raises(ValueError, match=rf"{name}: k is 5; it needs at most min\(N, d\) = 4"):
            function(features, target, k=5)
        with pytest.raises(ValueError, match=f"{name}: k is 4; it needs at most the rank of features, 3"):
            function(np.concatenate([features[:, :3], features[:, :1]], axis=1), target, k=4)
        with pytest.raises(ValueError, match=f"{name}: features has a column of zeros"):
            function(features * [1, 0, 1, 1], target, k=1)
        for strange in (np.nan, np.inf):  # a pseudoinverse of an infinity may never come
            with pytest.raises(ValueError, match=f"{name}: features holds a NaN or an infinity"):
                function(np.where(features == features[1, 2], strange, features), target, k=1)
            with pytest.raises(ValueError, match=f"{name}: target holds a NaN or an infinity"):
                function(features, np.where(target == target[2], strange, target), k=1)
    with pytest.raises(TypeError, match="sequential_attention_weights: selected has dtype int64; it needs booleans"):
        sequential_attention_weights(target, np.zeros(5, dtype=int))


def test_ties_take_the_lowest_feature() -> None:
    features = np.eye(4)
    for method in ("omp", "lasso"):
        order = sequential_attention_select(features, np.array([1.0, 2.0, 2.0, 1.0]), k=4, method=method)
        np.testing.assert_array_equal(order, [1, 2, 0, 3])


def test_no_feature_is_taken_twice_where_nothing_is_left_to_explain() -> None:
    for method in ("omp", "lasso"):
        order = sequential_attention_select(np.eye(3), np.array([0.0, 2.0, 0.0]), k=3, method=method)
        np.testing.assert_array_equal(order, [1, 0, 2])


def test_loud_logits_share_without_overflow() -> None:
    found = sequential_attention_weights(np.array([1e4, 1e4, -1e4, 3.0]), np.array([False, False, False, True]))
    np.testing.assert_array_equal(found, [0.5, 0.5, 0.0, 1.0])
    np.testing.assert_array_equal(sequential_attention_weights(np.full(3, np.nan), np.ones(3, dtype=bool)), 1)


def step_by_enumeration(
    log_probs: np.ndarray, scores: np.ndarray, groups: int, strength: float, keep: int, first: bool
) -> list[tuple[float, int, int]]:
    """All candidates of each group, sorted; interleaved as the groups are."""
    beams, width = log_probs.shape
    taken, kept = [0.0] * width, []
    for g in range(groups):
        members = [b for b in range(beams) if b % groups == g]
        found = [
            (-(log_probs[b, v] - strength * taken[v] + (0 if first else scores[b])), b, v)
            for b, v in itertools.product(members[:1] if first else members, range(width))
        ]
        kept.append(sorted(found)[:keep])
        for _, _, v in kept[-1]:
            taken[v] += 1
    return [(-kept[g][c][0], kept[g][c][2], kept[g][c][1]) for c in range(keep) for g in range(groups)]


@pytest.mark.parametrize(("beams", "groups", "width"), [(4, 2, 5), (6, 3, 4), (3, 1, 6), (4, 4, 3)])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1e9])
def test_a_step_of_diverse_beams_by_enumeration(
    beams: int, groups: int, width: int, first: bool, strength: float
) -> None:
    log_probs, scores = np.log(RNG.dirichlet(np.ones(width), beams)), -RNG.random(beams)
    keep = 2
    found = diverse_beam_step(log_probs, scores, groups=groups, strength=strength, keep=keep, first_step=first)
    expected = step_by_enumeration(log_probs, scores, groups, strength, keep, first)
    for index, (score, token, beam) in enumerate(expected):
        assert (found.tokens[index], found.beams[index]) == (token, beam)
        assert_equal_up_to_rounding(found.scores[index], score, operations=8, magnitude=max(strength * groups, 10.0))


def test_the_step_of_fairseq(torch: Any) -> None:
    # fairseq/search.py, DiverseBeamSearch.step for one sentence.
    groups, strength, count, width = 2, 0.7, 6, 8
    log_probs, scores = np.log(RNG.dirichlet(np.ones(width), count)), -RNG.random(count)
    lprobs, before = torch.tensor(log_probs), torch.tensor(scores)
    counted, parts = torch.zeros(width, dtype=torch.float64), []
    for g in range(groups):
        group = lprobs[g::groups] - strength * counted + before[g::groups, None]
        size = min(2 * count // groups, group.numel() - 1)
        top, indices = torch.topk(group.view(-1), k=size)
        beam, token = indices // width, indices % width
        counted.scatter_add_(0, token, torch.ones(size, dtype=torch.float64))
        parts.append((top, token, beam * groups + g))
    expected = [torch.stack(part, dim=1).view(-1).numpy() for part in zip(*parts, strict=True)]
    found = diverse_beam_step(log_probs, scores, groups=groups, strength=strength)
    assert_equal_up_to_rounding(found.scores, expected[0], **ENOUGH)
    np.testing.assert_array_equal(found.tokens, expected[1])
    np.testing.assert_array_equal(found.beams, expected[2])


def test_groups_say_different_things_if_that_matters_enough() -> None:
    log_probs = np.log(RNG.dirichlet(np.ones(6), 4))
    found = diverse_beam_step(log_probs, np.zeros(4), groups=4, strength=1e6, keep=1)
    assert len(set(found.tokens.tolist())) == 4


def test_a_first_step_keeps_no_more_than_there_is() -> None:
    # Three beams of a group and four tokens: twelve candidates later, four at the start.
    found = diverse_beam_step(
        np.log(RNG.dirichlet(np.ones(4), 3)), np.zeros(3), groups=1, strength=0.0, first_step=True
    )
    assert len(found.tokens) == 3
    assert set(found.beams.tolist()) == {0}


def test_steps_that_cannot_be_taken_are_refused() -> None:
    log_probs, scores = np.zeros((4, 3)), np.zeros(4)
    for options, message in (
        ({"groups": 3, "strength": 0.0}, "groups is 3; it needs a divisor of B = 4"),
        ({"groups": 0, "strength": 0.0}, "groups is 0"),
        ({"groups": 2, "strength": -1.0}, "strength is -1.0"),
        ({"groups": 2, "strength": 0.0, "keep": 7}, "keep is 7; it needs at most the 6 candidates"),
    ):
        with pytest.raises(ValueError, match=f"diverse_beam_step: {message}"):
            diverse_beam_step(log_probs, scores, **options)
    with pytest.raises(ValueError, match="diverse_beam_step: beam_scores has 3 entries and log_probs 4 rows"):
        diverse_beam_step(log_probs, scores[:3], groups=2, strength=0.0)
