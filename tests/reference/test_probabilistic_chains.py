"""Chains and segments: against all sequences, against PyTorch, long and with large potentials."""

from typing import Any

import numpy as np
import pytest
import scipy.stats
from enumerated import chain_by_enumeration, chain_score, sequences
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(53)
SMALL = {"operations": 400}
"""Sums over some hundred structures of at most 7 parts, whose scores are below about 10."""


def potentials(n: int, c: int, scale: float = 1.0, hide: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    unary, pairwise = (scale * RNG.normal(size=shape) for shape in ((n, c), (max(n - 1, 0), c, c)))
    return tuple(np.where(RNG.random(x.shape) < hide, -np.inf, x) for x in (unary, pairwise))  # type: ignore[return-value]


CHAINS = [(1, 1), (1, 4), (2, 3), (4, 3), (6, 2), (7, 2), (5, 1)]


@pytest.mark.parametrize(("n", "c"), CHAINS)
@pytest.mark.parametrize("hide", [0.0, 0.4])
def test_marginals_are_those_of_all_sequences(n: int, c: int, hide: float) -> None:
    for _ in range(8):
        unary, pairwise = potentials(n, c, hide=hide)
        result = attlas_ref.linear_chain_marginals(unary, pairwise)
        log_partition, marginals, pairs = chain_by_enumeration(unary, pairwise)
        if log_partition == -np.inf:
            assert result.log_partition == -np.inf
        else:
            assert_equal_up_to_rounding(result.log_partition, log_partition, **SMALL)
        assert_equal_up_to_rounding(result.marginals, marginals, **SMALL)
        assert_equal_up_to_rounding(result.pairwise_marginals, pairs, **SMALL)


@pytest.mark.parametrize(("n", "c"), CHAINS)
@pytest.mark.parametrize("hide", [0.0, 0.4])
def test_the_path_is_the_best_of_all_sequences(n: int, c: int, hide: float) -> None:
    for _ in range(8):
        unary, pairwise = potentials(n, c, hide=hide)
        every = list(sequences(n, c))
        scores = [chain_score(unary, pairwise, labels) for labels in every]
        path = tuple(attlas_ref.linear_chain_argmax(unary, pairwise).tolist())
        assert path == (every[int(np.argmax(scores))] if max(scores) > -np.inf else (-1,) * n)


def test_ties_take_the_lowest_label_from_the_end() -> None:
    # 0 0 1, 1 0 1 and 1 1 0 are equally good: of the lowest last label there is one.
    unary, pairwise = np.zeros((3, 2)), np.full((2, 2, 2), -1.0)
    for labels in ((0, 0, 1), (1, 0, 1), (1, 1, 0)):
        for t in range(2):
            pairwise[t, labels[t], labels[t + 1]] = 0
    assert attlas_ref.linear_chain_argmax(unary, pairwise).tolist() == [1, 1, 0]
    assert attlas_ref.linear_chain_argmax(unary, np.zeros((2, 2))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("multi", [False, True])
def test_chains_of_several_lengths(multi: bool) -> None:
    unary, pairwise = RNG.normal(size=(2, 3, 6, 3)), RNG.normal(size=(2, 1, 5, 3, 3) if multi else (3, 3))
    lengths = np.array([[0, 1, 2], [3, 5, 6]])
    mask = np.arange(6) < lengths[..., None]
    unary[~mask] = np.nan
    result = attlas_ref.linear_chain_marginals(unary, pairwise, mask=mask)
    path = attlas_ref.linear_chain_argmax(unary, pairwise, mask=mask)
    for place, length in np.ndenumerate(lengths):
        steps = pairwise[place[0], 0, : max(length - 1, 0)] if multi else pairwise
        alone = attlas_ref.linear_chain_marginals(unary[place][:length], steps)
        assert_equal_up_to_rounding(result.log_partition[place], alone.log_partition, **SMALL)
        assert_equal_up_to_rounding(result.marginals[place][:length], alone.marginals, **SMALL)
        assert not result.marginals[place][length:].any()
        assert not result.pairwise_marginals[place][max(length - 1, 0) :].any()
        best = attlas_ref.linear_chain_argmax(unary[place][:length], steps)
        assert path[place].tolist() == best.tolist() + [-1] * (6 - length)


def test_marginals_are_derivatives_of_the_log_partition() -> None:
    unary, pairwise = potentials(5, 3)
    result = attlas_ref.linear_chain_marginals(unary, pairwise)
    step = np.finfo(float).eps ** (1 / 3)
    error = 10 * step**2  # third derivatives of a log-sum-exp stay below 1, and rounding costs as much
    for which, marginals in enumerate((result.marginals, result.pairwise_marginals)):
        for place in np.ndindex(marginals.shape):
            sides = []
            for sign in (1, -1):
                arrays = [unary.copy(), pairwise.copy()]
                arrays[which][place] += sign * step
                sides.append(attlas_ref.linear_chain_marginals(*arrays).log_partition)
            assert abs((sides[0] - sides[1]) / (2 * step) - marginals[place]) < error


def test_strong_likings_make_labels_constant() -> None:
    unary, _ = potentials(6, 3)
    result = attlas_ref.linear_chain_marginals(unary, 100 * np.eye(3))
    total = unary.sum(axis=0)
    constant = np.exp(total - total.max()) / np.exp(total - total.max()).sum()
    # A change of label costs a factor of e^-100.
    assert_equal_up_to_rounding(result.marginals, np.broadcast_to(constant, (6, 3)), **SMALL)


def test_marginals_of_large_scores_are_the_path() -> None:
    unary, pairwise = potentials(6, 3)
    path = attlas_ref.linear_chain_argmax(unary, pairwise)
    marginals = attlas_ref.linear_chain_marginals(1e4 * unary, 1e4 * pairwise).marginals
    np.testing.assert_allclose(marginals, np.eye(3)[path], rtol=0, atol=1e-12)


def in_long_double(unary: np.ndarray, pairwise: np.ndarray) -> tuple[Any, Any]:
    """The recursions of the definition, unshifted, in extended precision."""
    unary, pairwise = unary.astype(np.longdouble), pairwise.astype(np.longdouble)
    alpha, beta = np.zeros_like(unary), np.zeros_like(unary)
    alpha[0] = unary[0]
    for t in range(1, len(unary)):
        alpha[t] = unary[t] + np.logaddexp.reduce(alpha[t - 1][:, None] + pairwise, axis=0)
    for t in range(len(unary) - 2, -1, -1):
        beta[t] = np.logaddexp.reduce(pairwise + unary[t + 1] + beta[t + 1], axis=1)
    log_partition = np.logaddexp.reduce(alpha[-1])
    return log_partition, np.exp(alpha + beta - log_partition)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs extended precision")
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_ten_thousand_positions_keep_their_digits(scale: float) -> None:
    n = 10_000
    unary, pairwise = scale * RNG.normal(size=(n, 3)), scale * RNG.normal(size=(3, 3))
    result = attlas_ref.linear_chain_marginals(unary, pairwise)
    log_partition, marginals = in_long_double(unary, pairwise)
    # A marginal errs by what α and β of its neighborhood err, whose differences are of the size of the scores; the
    # comparison itself by n roundings of numbers of the size of log Z, in extended precision.
    own = 200 * max(scale, 10) * np.finfo(float).eps
    others = n * float(np.finfo(np.longdouble).eps * abs(log_partition))
    assert np.abs(result.marginals - marginals).max() < own + others
    # n terms of the size of the scores, and their sum by pairs in log2(n) < 14 levels.
    size = 4 * n * scale + 14 * abs(float(log_partition))
    assert_equal_up_to_rounding(result.log_partition, float(log_partition), operations=1, magnitude=size)
    assert abs(result.marginals.sum(axis=-1) - 1).max() < 4 * np.finfo(float).eps
    path = attlas_ref.linear_chain_argmax(unary, pairwise)
    if scale > 1:  # labels are certain, but for few
        assert (np.take_along_axis(result.marginals, path[:, None], axis=-1) > 0.5).mean() > 0.99


def test_potentials_of_ten_thousand_are_those_of_all_sequences() -> None:
    for _ in range(5):
        unary, pairwise = potentials(5, 3, scale=1e4)
        result = attlas_ref.linear_chain_marginals(unary, pairwise)
        log_partition, marginals, _ = chain_by_enumeration(unary, pairwise)
        assert_equal_up_to_rounding(result.log_partition, log_partition, operations=40, magnitude=1e5)
        assert_equal_up_to_rounding(result.marginals, marginals, operations=40, magnitude=1e5)


def test_a_visible_nan_reaches_its_chain_alone() -> None:
    unary, pairwise = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(3, 3))
    unary[1, 2, 0] = np.nan
    result = attlas_ref.linear_chain_marginals(unary, pairwise)
    for part in result:
        assert np.isfinite(part[0]).all()
        assert np.isnan(part[1]).all()


def test_what_is_impossible_is_zero() -> None:
    unary, pairwise = np.full((3, 2), -np.inf), np.zeros((2, 2))
    log_partition, marginals, pairs = attlas_ref.linear_chain_marginals(unary, pairwise)
    assert log_partition == -np.inf
    assert not marginals.any()
    assert not pairs.any()
    draws = np.full(3, 0.5)
    assert attlas_ref.linear_chain_sample(unary, pairwise, uniform=draws).tolist() == [-1, -1, -1]


# Samples


def test_samples_occur_as_often_as_the_marginals_say() -> None:
    unary, pairwise = potentials(4, 3)
    count = 20_000
    paths = attlas_ref.linear_chain_sample(unary, pairwise, uniform=RNG.random((count, 4)))
    expected = [count * np.exp(chain_score(unary, pairwise, z)) for z in sequences(4, 3)]
    expected = np.array(expected) * count / np.sum(expected)
    found = np.bincount(paths @ 3 ** np.arange(3, -1, -1), minlength=81)
    # Sequences that are too rare for the test are counted together.
    common = expected > 5
    observed, wanted = (np.append(x[common], x[~common].sum()) for x in (found, expected))
    assert scipy.stats.chisquare(observed, wanted).pvalue > 1e-3


def test_the_volume_of_draws_is_the_probability() -> None:
    # Without chance: a grid of 20 draws for each of 3 positions hits each sequence as often as its box is large.
    unary, pairwise = potentials(3, 2)
    grid = (np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) + 0.5) / 40
    paths = attlas_ref.linear_chain_sample(unary, pairwise, uniform=grid)
    _, marginals, pairs = chain_by_enumeration(unary, pairwise)
    for t in range(3):
        share = np.bincount(paths[:, t], minlength=2) / len(paths)
        assert np.abs(share - marginals[t]).max() < 3 / 40  # an interval in each of 3 draws errs by at most a cell
    for t in range(2):
        share = np.bincount(2 * paths[:, t] + paths[:, t + 1], minlength=4) / len(paths)
        assert np.abs(share - pairs[t].ravel()).max() < 3 / 40


@pytest.mark.parametrize("draw", [0.0, 0.5, 1 - 2**-53])
def test_no_sample_is_impossible(draw: float) -> None:
    for _ in range(20):
        unary, pairwise = potentials(5, 3, hide=0.4)
        path = attlas_ref.linear_chain_sample(unary, pairwise, uniform=np.full(5, draw))
        possible = chain_by_enumeration(unary, pairwise)[0] > -np.inf
        assert chain_score(unary, pairwise, tuple(path)) > -np.inf if possible else (path == -1).all()


# Another library


@pytest.mark.filterwarnings("ignore")
def test_chains_are_those_of_torch_struct(torch: Any, struct: Any) -> None:
    unary, pairwise = RNG.normal(size=(2, 6, 3)), RNG.normal(size=(2, 5, 3, 3))
    edges = pairwise + unary[:, 1:, None, :]
    edges[:, 0] += unary[:, 0, :, None]
    crf = struct.LinearChainCRF(torch.from_numpy(np.ascontiguousarray(edges.swapaxes(-1, -2))))  # (next, this)
    result = attlas_ref.linear_chain_marginals(unary, pairwise)
    assert_equal_up_to_rounding(result.log_partition, crf.partition.detach().numpy(), **SMALL)
    assert_equal_up_to_rounding(result.pairwise_marginals, crf.marginals.mT.detach().numpy(), **SMALL)
    best = crf.argmax.detach().numpy()  # (b, n-1, next, this), one entry each
    path = attlas_ref.linear_chain_argmax(unary, pairwise)
    np.testing.assert_array_equal(best.sum(axis=-1).argmax(axis=-1), path[:, 1:])
