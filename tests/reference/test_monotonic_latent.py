"""Latent monotonic alignments: against all alignments, against PyTorch, long and with large potentials."""

import itertools
from typing import Any

import numpy as np
import pytest
from enumerated import chain_by_enumeration, chain_score, sequences
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(61)
SMALL = {"operations": 400}
"""Sums over some hundred alignments of at most 6 steps, whose scores are below about 10."""
EPS = np.finfo(float).eps


def potentials(steps: int, positions: int, kind: str, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random logarithms; with a kind of monotony, or with some of all impossible."""
    emission = scale * RNG.normal(size=(steps, positions))
    transition = scale * RNG.normal(size=(max(steps - 1, 0), positions, positions))
    start = scale * RNG.normal(size=positions)
    if kind in ("weak", "strict"):
        ahead = np.triu(np.ones((positions, positions)), int(kind == "strict")) > 0
        transition = np.where(ahead, transition, -np.inf)
    if kind == "sparse":
        emission, transition = (np.where(RNG.random(x.shape) < 0.3, -np.inf, x) for x in (emission, transition))
    return emission, transition, start


SIZES = [(1, 1), (1, 4), (2, 3), (3, 4), (4, 3), (5, 2), (3, 3), (2, 1)]


@pytest.mark.parametrize("kind", ["free", "weak", "strict", "sparse"])
@pytest.mark.parametrize(("steps", "positions"), SIZES)
def test_sums_paths_and_posteriors_are_those_of_all_alignments(steps: int, positions: int, kind: str) -> None:
    for _ in range(4):
        emission, transition, start = potentials(steps, positions, kind)
        log_prob, posterior = attlas_ref.latent_monotonic_log_prob(emission, transition, start, return_posterior=True)
        unary = emission.copy()
        unary[0] += start
        expected, marginals, _ = chain_by_enumeration(unary, transition)
        every = list(sequences(steps, positions))
        scores = [chain_score(unary, transition, path) for path in every]
        path, score = attlas_ref.latent_monotonic_viterbi(emission, transition, start)
        if expected == -np.inf:
            assert log_prob == score == -np.inf
            assert path.tolist() == [-1] * steps
        else:
            assert_equal_up_to_rounding(log_prob, expected, **SMALL)
            assert_equal_up_to_rounding(score, max(scores), **SMALL)
            assert tuple(path.tolist()) == every[int(np.argmax(scores))]
        assert_equal_up_to_rounding(posterior, marginals, **SMALL)
        alone = attlas_ref.latent_monotonic_posterior(emission, transition, start)
        np.testing.assert_array_equal(alone, posterior)


def test_only_forward_alignments_are_counted() -> None:
    # With all potentials 0 the sum counts alignments: T^N, multisets, and sets of N of T positions.
    from math import comb

    for steps, positions in itertools.product(range(1, 6), range(1, 6)):
        counts = {
            "free": positions**steps,
            "weak": comb(positions + steps - 1, steps),
            "strict": comb(positions, steps),
        }
        for kind, count in counts.items():
            emission, transition, start = (np.where(x == -np.inf, x, 0) for x in potentials(steps, positions, kind))
            found = np.exp(attlas_ref.latent_monotonic_log_prob(emission, transition, start))
            assert_equal_up_to_rounding(found, float(count), **SMALL, magnitude=max(count, 1))


def test_ties_take_the_lowest_position_from_the_end() -> None:
    # 0 0 1, 1 0 1 and 1 1 0 are equally good: of the lowest last position there is one.
    emission, transition = np.zeros((3, 2)), np.full((2, 2, 2), -1.0)
    for path in ((0, 0, 1), (1, 0, 1), (1, 1, 0)):
        for i in range(2):
            transition[i, path[i], path[i + 1]] = 0
    assert attlas_ref.latent_monotonic_viterbi(emission, transition).path.tolist() == [1, 1, 0]
    assert attlas_ref.latent_monotonic_viterbi(emission, np.zeros((2, 2, 2))).path.tolist() == [0, 0, 0]


def test_gradients_are_posteriors(torch: Any) -> None:
    emission, transition, start = potentials(6, 4, "free")
    em, tr, first = (torch.tensor(x, requires_grad=True) for x in (emission, transition, start))
    alpha = em[0] + first
    for i in range(1, 6):
        alpha = em[i] + torch.logsumexp(alpha[:, None] + tr[i - 1], dim=0)
    torch.logsumexp(alpha, dim=0).backward()
    posterior = attlas_ref.latent_monotonic_posterior(emission, transition, start)
    assert_equal_up_to_rounding(posterior, em.grad.numpy(), **SMALL)
    assert_equal_up_to_rounding(posterior[0], first.grad.numpy(), **SMALL)


def test_empty_outputs_and_sources() -> None:
    nothing = attlas_ref.latent_monotonic_log_prob(np.zeros((2, 0, 3)), np.zeros((0, 3, 3)), return_posterior=True)
    assert nothing.log_prob.tolist() == [0, 0]
    assert nothing.posterior.shape == (2, 0, 3)
    path, score = attlas_ref.latent_monotonic_viterbi(np.zeros((2, 0, 3)), np.zeros((0, 3, 3)))
    assert path.shape == (2, 0)
    assert score.tolist() == [0, 0]
    assert attlas_ref.latent_monotonic_log_prob(np.zeros((2, 0)), np.zeros((1, 0, 0))) == -np.inf
    path, score = attlas_ref.latent_monotonic_viterbi(np.zeros((2, 0)), np.zeros((1, 0, 0)))
    assert path.tolist() == [-1, -1]
    assert score == -np.inf


def test_leading_axes_broadcast() -> None:
    emission, transition, start = RNG.normal(size=(2, 1, 4, 3)), RNG.normal(size=(5, 3, 3, 3)), RNG.normal(size=3)
    log_prob, posterior = attlas_ref.latent_monotonic_log_prob(emission, transition, start, return_posterior=True)
    path, score = attlas_ref.latent_monotonic_viterbi(emission, transition, start)
    assert log_prob.shape == score.shape == (2, 5)
    for b, h in np.ndindex(2, 5):
        one = emission[b, 0], transition[h], start
        assert_equal_up_to_rounding(log_prob[b, h], attlas_ref.latent_monotonic_log_prob(*one), **SMALL)
        assert_equal_up_to_rounding(posterior[b, h], attlas_ref.latent_monotonic_posterior(*one), **SMALL)
        assert path[b, h].tolist() == attlas_ref.latent_monotonic_viterbi(*one).path.tolist()


def in_long_double(emission: np.ndarray, transition: np.ndarray) -> tuple[Any, Any, Any]:
    """Likelihood, posterior and best score by the recursions of the definition, unshifted, in extended precision."""
    emission, transition = emission.astype(np.longdouble), transition.astype(np.longdouble)
    alpha, beta, best = emission.copy(), np.zeros_like(emission), emission[0]
    for i in range(1, len(emission)):
        alpha[i] = emission[i] + np.logaddexp.reduce(alpha[i - 1][:, None] + transition, axis=0)
        best = emission[i] + (best[:, None] + transition).max(axis=0)
    for i in range(len(emission) - 2, -1, -1):
        beta[i] = np.logaddexp.reduce(transition + emission[i + 1] + beta[i + 1], axis=1)
    log_prob = np.logaddexp.reduce(alpha[-1])
    return log_prob, np.exp(alpha + beta - log_prob), best.max()


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs extended precision")
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_ten_thousand_steps_keep_their_digits(scale: float) -> None:
    steps, positions = 10_000, 4
    emission, start = scale * RNG.normal(size=(steps, positions)), np.zeros(positions)
    table = np.where(np.triu(np.ones((positions, positions))) > 0, scale * RNG.normal(size=(positions, positions)), 0)
    table = np.where(np.tri(positions, k=-1) > 0, -30.0 * scale, table)  # going back is dear, and happens
    transition = np.broadcast_to(table, (steps - 1, positions, positions))
    log_prob, posterior = attlas_ref.latent_monotonic_log_prob(emission, transition, start, return_posterior=True)
    expected, marginals, best = in_long_double(emission, table)
    # As for chains: a posterior errs by what its neighborhood errs, the comparison by its own roundings.
    own = 200 * max(scale, 10) * EPS
    others = steps * float(np.finfo(np.longdouble).eps * abs(expected))
    assert np.abs(posterior - marginals).max() < own + others
    size = 4 * steps * 30 * scale + 14 * abs(float(expected))
    assert_equal_up_to_rounding(log_prob, float(expected), operations=1, magnitude=size)
    assert_equal_up_to_rounding(
        attlas_ref.latent_monotonic_viterbi(emission, transition, start).score,
        float(best),
        operations=1,
        magnitude=size,
    )
    assert abs(posterior.sum(axis=-1) - 1).max() < 4 * EPS


def test_long_forward_alignments_end_at_the_end() -> None:
    # Only the last position emits the last output: 10,000 steps forward through 50 positions.
    steps, positions = 10_000, 50
    emission = np.zeros((steps, positions))
    emission[-1, :-1] = -np.inf
    moves = np.where(np.triu(np.ones((positions, positions))) > 0, 0.0, -np.inf)
    transition = np.broadcast_to(moves, (steps - 1, positions, positions))
    log_prob, posterior = attlas_ref.latent_monotonic_log_prob(emission, transition, return_posterior=True)
    # Multisets of the first N - 1 positions: C(N - 1 + T - 1, T - 1).
    from math import comb, log

    count = log(comb(steps - 1 + positions - 1, positions - 1))
    assert_equal_up_to_rounding(log_prob, count, operations=1, magnitude=8.0 * steps)
    assert posterior[-1].tolist() == [0.0] * (positions - 1) + [1.0]
    path = attlas_ref.latent_monotonic_viterbi(emission, transition).path
    assert (np.diff(path) >= 0).all()
    assert path[-1] == positions - 1


def test_what_is_no_logarithm_is_refused() -> None:
    emission, transition = np.zeros((3, 2)), np.zeros((2, 2, 2))
    for strange in (np.nan, np.inf):
        for which, name in enumerate(("log_emission", "log_transition", "log_initial")):
            arrays = [emission.copy(), transition.copy(), np.zeros(2)]
            arrays[which][..., 0] = strange
            for function in ("log_prob", "viterbi", "posterior"):
                with pytest.raises(ValueError, match=name):
                    getattr(attlas_ref, f"latent_monotonic_{function}")(*arrays)


def moves_by_loop(energy: np.ndarray, strict: bool, allow_last: bool) -> np.ndarray:
    steps, positions = energy.shape
    moves = np.zeros((steps, positions, positions))
    for i, s in np.ndindex(steps, positions):
        ahead = range(s + strict, positions)
        for t in ahead:
            moves[i, s, t] = 1 / sum(np.exp(energy[i, u] - energy[i, t]) for u in ahead)
        if not ahead and allow_last:
            moves[i, s, s] = 1
    return moves


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("allow_last", [False, True])
def test_a_strict_position_may_stay_at_the_end(strict: bool, allow_last: bool) -> None:
    for positions in (1, 2, 5):
        energy = 3 * RNG.normal(size=(4, positions))
        options = {"strict": strict, "allow_last": allow_last}
        moves = attlas_ref.monotonic_position_log_prob(energy, log=False, **options)
        assert_equal_up_to_rounding(moves, moves_by_loop(energy, strict, allow_last), **SMALL)
        logs = attlas_ref.monotonic_position_log_prob(energy, **options)
        assert not np.isnan(logs).any()
        ends = strict and not allow_last
        assert (logs[:, -1, -1] == (-np.inf if ends else 0)).all()


def test_moves_of_large_and_missing_energies() -> None:
    energy = np.array([[1e4, -1e4, 0.0, -np.inf]])
    moves = attlas_ref.monotonic_position_log_prob(energy, log=False)[0]
    np.testing.assert_array_equal(moves, [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    # Who may stay anyway is allowed nothing more at the end.
    again = attlas_ref.monotonic_position_log_prob(energy, log=False, allow_last=True)[0]
    np.testing.assert_array_equal(again, moves)
    # What no longer lies ahead is not felt.
    fouled = attlas_ref.monotonic_position_log_prob(np.array([[0.0, np.nan, 0.0, 0.0]]), log=False)[0]
    np.testing.assert_array_equal(np.isnan(fouled), [[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(("n_out", "n_in"), [(1, 1), (1, 9), (4, 13), (4, 3), (5, 6), (7, 7), (6, 8), (3, 100)])
def test_the_first_guess_goes_forward_to_the_end(n_out: int, n_in: int) -> None:
    line = attlas_ref.linear_alignment(n_out, n_in)
    assert line.shape == (n_out,)
    assert (np.diff(line) >= 0).all()
    assert line[-1] == n_in - 1


def test_steep_guesses_go_on_by_one() -> None:
    for n_in in range(1, 9):
        for n_out in range(max(n_in - 1, 1), 12):
            expected = [min(i + 1, n_in - 1) for i in range(n_out)]
            assert attlas_ref.linear_alignment(n_out, n_in).tolist() == expected


def test_halves_go_to_the_even_neighbor() -> None:
    # A slope of 7 / 6: three of them are 3.5; and of 5 / 2.
    assert attlas_ref.linear_alignment(6, 8).tolist() == [1, 2, 4, 5, 6, 7]
    assert attlas_ref.linear_alignment(2, 6).tolist() == [2, 5]
    # Seven times 29 / 14 is 14.5, unless the quotient is rounded first.
    assert attlas_ref.linear_alignment(14, 30)[6] == 14
    with pytest.raises(ValueError, match="n_out"):
        attlas_ref.linear_alignment(0, 3)
