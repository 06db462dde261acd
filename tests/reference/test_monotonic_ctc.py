"""Likelihoods under connectionist temporal classification: against all alignments, against PyTorch, long and large."""

import math
from typing import Any

import numpy as np
import pytest
from enumerated import sequences, summed
from readings import read, score_of
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(61)
SMALL = {"operations": 600}
"""Sums over some hundred alignments of at most 6 frames, whose scores are below about 10."""


def by_enumeration(log_probs: np.ndarray, target: tuple[int, ...], blank: int = 0) -> tuple[float, np.ndarray]:
    """log p and the posterior from every alignment that is read as the target."""
    t, v = log_probs.shape
    fitting = [a for a in sequences(t, v) if read(a, blank) == target]
    return summed(fitting, lambda a: score_of(log_probs, a), enumerate, (t, v))


TEXTS = [(), (1,), (1, 2), (1, 1), (2, 1, 2), (1, 1, 1), (2, 2, 1)]


@pytest.mark.parametrize("target", TEXTS)
@pytest.mark.parametrize("hide", [0.0, 0.3])
@pytest.mark.parametrize("t", [0, 1, 2, 4, 6])
def test_the_likelihood_is_that_of_all_alignments(target: tuple[int, ...], hide: float, t: int) -> None:
    for _ in range(3):
        log_probs = RNG.normal(size=(t, 3))
        log_probs[RNG.random(log_probs.shape) < hide] = -np.inf
        likelihood, posterior = attlas_ref.ctc_log_likelihood(log_probs, target, return_posterior=True)
        log_p, occupancy = by_enumeration(log_probs, target)
        if log_p == -math.inf:
            assert likelihood == -np.inf
        else:
            assert_equal_up_to_rounding(likelihood, log_p, **SMALL)
        assert_equal_up_to_rounding(posterior, occupancy, **SMALL)
        assert_equal_up_to_rounding(attlas_ref.ctc_posterior(log_probs, target), occupancy, **SMALL)


@pytest.mark.parametrize("target", TEXTS)
@pytest.mark.parametrize("hide", [0.0, 0.3])
@pytest.mark.parametrize("t", [0, 1, 2, 4, 6])
def test_the_best_alignment_is_the_best_of_all(target: tuple[int, ...], hide: float, t: int) -> None:
    for _ in range(3):
        log_probs = RNG.normal(size=(t, 3))
        log_probs[RNG.random(log_probs.shape) < hide] = -np.inf
        scores = {a: score_of(log_probs, a) for a in sequences(t, 3) if read(a) == target}
        best = max(scores.values(), default=-math.inf)
        alignment, score = attlas_ref.ctc_viterbi(log_probs, target)
        if best == -math.inf:
            assert score == -np.inf
            assert alignment.tolist() == [-1] * t
        else:
            assert tuple(alignment.tolist()) == max(scores, key=scores.__getitem__)
            assert_equal_up_to_rounding(score, best, **SMALL)


def test_any_symbol_may_be_the_blank() -> None:
    log_probs = RNG.normal(size=(5, 3))
    for blank, target in ((0, (1, 2)), (1, (0, 0)), (2, (1, 0, 1))):
        log_p, occupancy = by_enumeration(log_probs, target, blank)
        result = attlas_ref.ctc_log_likelihood(log_probs, target, blank=blank, return_posterior=True)
        assert_equal_up_to_rounding(result.log_prob, log_p, **SMALL)
        assert_equal_up_to_rounding(result.posterior, occupancy, **SMALL)
        assert read(attlas_ref.ctc_viterbi(log_probs, target, blank=blank).alignment.tolist(), blank) == target


def test_all_texts_together_are_certain() -> None:
    logits = RNG.normal(size=(4, 3))
    log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    texts = {read(alignment) for alignment in sequences(4, 3)}
    total = math.fsum(float(np.exp(attlas_ref.ctc_log_likelihood(log_probs, text))) for text in texts)
    assert_equal_up_to_rounding(total, 1.0, **SMALL)


def test_ties_stay_then_step_and_end_in_the_blank() -> None:
    # All alignments are equally good. From the end: the last blank, and it is kept as long as may be.
    assert attlas_ref.ctc_viterbi(np.zeros((4, 3)), [1, 2]).alignment.tolist() == [1, 2, 0, 0]
    assert attlas_ref.ctc_viterbi(np.zeros((5, 3)), [1, 1]).alignment.tolist() == [1, 0, 1, 0, 0]


def test_likelihood_and_posterior_are_those_of_pytorch(torch: Any) -> None:
    t, v, blank = 12, 6, 5
    heard, said = np.array([12, 9, 12, 4, 3]), np.array([4, 3, 0, 4, 2])
    target = RNG.integers(0, 5, (5, 4))
    target[1, :2] = 3  # a repeated letter
    target[3] = range(4)  # a letter per frame
    target[4, :2] = 2  # a repeated letter that just fits
    log_probs = torch.tensor(RNG.normal(size=(t, 5, v))).log_softmax(-1).requires_grad_()
    text, both = torch.tensor(target), (torch.tensor(heard), torch.tensor(said))
    loss = torch.nn.functional.ctc_loss(log_probs, text, *both, blank=blank, reduction="none")
    loss.sum().backward()
    frames = log_probs.detach().numpy().swapaxes(0, 1)
    lengths = {"input_lengths": heard, "target_lengths": said}
    likelihood, posterior = attlas_ref.ctc_log_likelihood(frames, target, blank=blank, **lengths, return_posterior=True)
    assert_equal_up_to_rounding(likelihood, -loss.detach().numpy(), operations=400, magnitude=20)
    # PyTorch gives the gradient through a softmax over the symbols, softmax - posterior, within the length.
    inside = (np.arange(t) < heard[:, None])[..., None]
    through = np.where(inside, np.exp(frames), 0) - posterior
    expected = log_probs.grad.numpy().swapaxes(0, 1)
    assert_equal_up_to_rounding(through, expected, operations=2000)


def test_what_does_not_fit_is_impossible(torch: Any) -> None:
    log_probs = np.log(np.full((3, 4), 0.25))
    likelihood, posterior = attlas_ref.ctc_log_likelihood(log_probs, [1, 1, 2], return_posterior=True)
    assert likelihood == -np.inf
    assert not posterior.any()
    frames, text = torch.tensor(log_probs[:, None]), torch.tensor([[1, 1, 2]])
    loss = torch.nn.functional.ctc_loss(frames, text, (3,), (3,), reduction="none")
    assert float(loss) == np.inf


def in_long_double(log_probs: np.ndarray, target: np.ndarray) -> tuple[Any, Any]:
    """The recursions of the definition, unshifted, in extended precision."""
    lp = log_probs.astype(np.longdouble)
    (t, v), states = lp.shape, 2 * len(target) + 1
    symbols = np.zeros(states, dtype=int)
    symbols[1::2] = target
    alpha, beta = (np.full((t, states), -np.inf, dtype=np.longdouble) for _ in range(2))
    alpha[0, :2] = lp[0, symbols[:2]]
    beta[-1, -2:] = 0
    skip = [s >= 2 and symbols[s] != 0 and symbols[s] != symbols[s - 2] for s in range(states)]
    for i in range(1, t):
        for s in range(states):
            before = [alpha[i - 1, s], *alpha[i - 1, max(s - 1, 0) : s], *([alpha[i - 1, s - 2]] if skip[s] else [])]
            alpha[i, s] = lp[i, symbols[s]] + np.logaddexp.reduce(np.array(before))
    for i in range(t - 2, -1, -1):
        ahead = lp[i + 1, symbols] + beta[i + 1]
        for s in range(states):
            after = [ahead[s], *ahead[s + 1 : s + 2], *(ahead[s + 2 : s + 3] if skip[min(s + 2, states - 1)] else [])]
            beta[i, s] = np.logaddexp.reduce(np.array(after))
    log_p = np.logaddexp(alpha[-1, -1], alpha[-1, -2])
    posterior = np.zeros((t, v), dtype=np.longdouble)
    for s in range(states):
        posterior[:, symbols[s]] += np.exp(alpha[:, s] + beta[:, s] - log_p)
    return log_p, posterior


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs extended precision")
@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_ten_thousand_frames_keep_their_digits(scale: float) -> None:
    n = 10_000
    log_probs, target = scale * RNG.normal(size=(n, 4)), np.array([1, 2, 2, 3, 1])
    likelihood, posterior = attlas_ref.ctc_log_likelihood(log_probs, target, return_posterior=True)
    log_p, occupancy = in_long_double(log_probs, target)
    # A state errs by what α and β err: differences between states that a path of blanks and one of letters pile up.
    size = float(np.abs(log_probs[:, 0]).sum())
    assert np.abs(posterior - occupancy).max() < 20 * size * np.finfo(float).eps
    assert_equal_up_to_rounding(likelihood, float(log_p), operations=20, magnitude=size)
    assert abs(posterior.sum(axis=-1) - 1).max() < 8 * np.finfo(float).eps


def test_the_occupancy_of_large_scores_is_the_best_alignment() -> None:
    log_probs = RNG.normal(size=(30, 5))
    target = [1, 3, 3, 2]
    alignment, score = attlas_ref.ctc_viterbi(1e4 * log_probs, target)
    likelihood, posterior = attlas_ref.ctc_log_likelihood(1e4 * log_probs, target, return_posterior=True)
    assert_equal_up_to_rounding(posterior, np.eye(5)[alignment], operations=1)
    assert_equal_up_to_rounding(likelihood, score, operations=60, magnitude=1e5)


def test_a_nan_reaches_what_its_paths_reach() -> None:
    log_probs, target = RNG.normal(size=(2, 5, 4)), [1, 2]
    clean = attlas_ref.ctc_log_likelihood(log_probs, target, return_posterior=True)
    on_no_path = [(0, 3), (0, 2), (4, 1)]  # not said, too early, too late
    for frame, symbol in on_no_path:
        fouled = log_probs.copy()
        fouled[1, frame, symbol] = np.nan
        for one, other in zip(attlas_ref.ctc_log_likelihood(fouled, target, return_posterior=True), clean, strict=True):
            assert_equal_up_to_rounding(one, other, **SMALL)
        assert attlas_ref.ctc_viterbi(fouled, target).score[1] == attlas_ref.ctc_viterbi(log_probs, target).score[1]
    fouled = log_probs.copy()
    fouled[1, 2, 0] = np.nan
    likelihood, posterior = attlas_ref.ctc_log_likelihood(fouled, target, return_posterior=True)
    assert np.isfinite(likelihood[0])
    assert np.isnan(likelihood[1])
    assert np.isnan(posterior[1, :, :3]).any()
    assert not posterior[1, :, 3].any()
    alignment, score = attlas_ref.ctc_viterbi(fouled, target)
    assert np.isnan(score[1])
    assert alignment[1].tolist() == [-1] * 5


@pytest.mark.parametrize(
    ("target", "options", "error", "words"),
    [
        ([1, 4], {}, ValueError, "target leaves the symbols"),
        ([1, -1], {}, ValueError, "target leaves the symbols"),
        ([0, 1], {}, ValueError, "target holds the blank 0"),
        ([0, 3], {"blank": 3}, ValueError, "target holds the blank 3"),
        ([1, 2], {"blank": 4}, ValueError, "blank is 4"),
        ([1, 1.5], {}, TypeError, "target holds a number that is not whole"),
        ([1, 2], {"input_lengths": 6}, ValueError, "input_lengths holds 6"),
        ([1, 2], {"target_lengths": 3}, ValueError, "target_lengths holds 3"),
    ],
)
@pytest.mark.parametrize("name", ["ctc_log_likelihood", "ctc_posterior", "ctc_viterbi"])
def test_what_cannot_be_said_is_refused(name: str, target: Any, options: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=f"{name}: {words}"):
        getattr(attlas_ref, name)(np.zeros((5, 4)), target, **options)


def test_behind_its_length_a_target_may_hold_anything() -> None:
    log_probs = RNG.normal(size=(5, 4))
    expected = attlas_ref.ctc_log_likelihood(log_probs, [2])
    for padding in (0, -1, 99):
        assert attlas_ref.ctc_log_likelihood(log_probs, [2, padding], target_lengths=1) == expected
