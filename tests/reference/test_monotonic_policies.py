"""Policies of a pointer: binomial steps, wait-k through the other formulations, PyTorch's gradients in words."""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.stats
from monotonic_paths import fractions, relative_errors
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(79)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1 - 2.0**-20, 1.0])
def test_constant_steps_are_binomial(p: float) -> None:
    m, n = 6, 9
    alignment = attlas_ref.stepwise_monotonic_alignment(np.full((m, n), p))
    for i in range(m):
        exact = scipy.stats.binom.pmf(np.arange(n), i + 1, 1 - p)
        assert_equal_up_to_rounding(alignment[i], exact, operations=100)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 3), (3, 2), (4, 4)])
@pytest.mark.parametrize("absorb", [False, True])
def test_steps_are_those_of_all_walks(m: int, n: int, absorb: bool) -> None:
    for length in range(n + 1):
        p = np.where(
            RNG.random((m, n)) < 0.4, RNG.choice([0.0, 1.0, 2.0**-60, 1 - 2.0**-53], (m, n)), RNG.random((m, n))
        )
        mask = np.arange(n) < length
        exact, stay = [[Fraction(0)] * n for _ in range(m)], fractions(p)
        for moves in itertools.product((0, 1), repeat=m):
            at, chance = 0, Fraction(int(length > 0))
            for i, move in enumerate(moves):
                if at < length:  # else it is past the end, and nothing counts any more
                    sure = absorb and at == length - 1
                    staying = Fraction(1) if sure else stay[i][at]
                    chance *= 1 - staying if move else staying
                at += move
                if at < length:
                    exact[i][at] += chance / 2 ** (m - 1 - i)  # as many walks share this beginning
        actual = attlas_ref.stepwise_monotonic_alignment(p, mask=mask, absorb_last=absorb)
        assert (relative_errors(actual, exact) <= 4 * m).all()


def test_hard_steps_move_below_one_half() -> None:
    p = np.array([[0.5, 0.0], [0.4, 0.9], [0.0, 0.5]])
    alignment = attlas_ref.stepwise_monotonic_alignment(p, hard=True)
    assert alignment.argmax(axis=-1).tolist() == [0, 1, 1]
    assert alignment.sum(axis=-1).tolist() == [1, 1, 1]


def test_gradients_of_steps_are_those_of_the_docstring(torch: Any) -> None:
    m, n = 4, 5
    p, grad, start = RNG.random((m, n)), RNG.normal(size=(m, n)), RNG.random(n) / n
    chance, begin = torch.tensor(p, requires_grad=True), torch.tensor(start, requires_grad=True)
    alpha, loss = begin, 0
    for i in range(m):
        moving = alpha * (1 - chance[i])
        alpha = alpha * chance[i] + torch.cat([moving.new_zeros(1), moving[:-1]])
        loss = loss + (alpha * torch.tensor(grad[i])).sum()
    loss.backward()
    alignment = np.concatenate([start[None], attlas_ref.stepwise_monotonic_alignment(p, previous=start)])
    later = np.zeros(n)
    for i in range(m - 1, -1, -1):
        total = grad[i] + later
        ahead = np.append(total[1:], 0)
        assert_equal_up_to_rounding(alignment[i] * (total - ahead), chance.grad[i].numpy(), operations=100)
        later = p[i] * total + (1 - p[i]) * ahead
    assert_equal_up_to_rounding(later, begin.grad.numpy(), operations=100)


@pytest.mark.parametrize(("m", "n", "k"), [(3, 5, 1), (4, 4, 2), (5, 3, 3), (2, 3, 7), (0, 2, 1), (2, 0, 1)])
def test_wait_k_is_a_diagonal(m: int, n: int, k: int) -> None:
    p = attlas_ref.waitk_p_choose(m, n, k=k)
    expected = np.array([[float(j == i + k - 1) for j in range(n)] for i in range(m)]).reshape(m, n)
    assert p.dtype == np.float64
    np.testing.assert_array_equal(p, expected)
    np.testing.assert_array_equal(attlas_ref.monotonic_alignment(p), expected)
    np.testing.assert_array_equal(attlas_ref.monotonic_hard_alignment(p), expected)


def test_wait_k_stays_on_the_last_key() -> None:
    m, n, k = 6, 4, 2
    p = attlas_ref.waitk_p_choose(m, n, k=k)
    last = np.minimum(np.arange(m) + k - 1, n - 1)
    stayed = attlas_ref.monotonic_hard_alignment(p, stay_on_last=True, return_index=True)
    assert stayed.index.tolist() == last.tolist()
    np.testing.assert_array_equal(attlas_ref.mass_preservation(attlas_ref.monotonic_alignment(p)), np.eye(n)[last])


def test_wait_k_looks_back_at_what_was_read() -> None:
    m, n, k = 3, 6, 2
    energy = RNG.normal(size=(m, n))
    weights = attlas_ref.infinite_lookback_weights(
        attlas_ref.monotonic_alignment(attlas_ref.waitk_p_choose(m, n, k=k)), energy
    )
    for i in range(m):
        read = np.exp(energy[i, : i + k])
        assert_equal_up_to_rounding(weights[i], np.append(read / read.sum(), np.zeros(n - i - k)), operations=50)


BAD = [
    ("waitk_p_choose", (2, 3), {"k": 0}, ValueError, "k"),
    ("waitk_p_choose", (-1, 3), {"k": 1}, ValueError, "m"),
    ("waitk_p_choose", (2, 2.5), {"k": 1}, TypeError, "n"),
    ("stepwise_monotonic_alignment", ([[0.5, 2.0]],), {}, ValueError, "p_stay"),
    ("stepwise_monotonic_alignment", ([[0.5, 0.5]],), {"mask": np.array([False, True])}, ValueError, "mask"),
    ("future_representation", ([[-0.5, 0.5]], np.ones((2, 1))), {
        "w1": np.ones((1, 1)), "b1": np.ones(1), "w2": np.ones((1, 1)), "b2": np.ones(1)}, ValueError, "lm_prob"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arrays", "options", "error", "argument"), BAD)
def test_what_is_no_policy_is_refused(
    name: str, arrays: Any, options: dict[str, Any], error: type[Exception], argument: str
) -> None:
    with pytest.raises(error, match=rf"^{name}: {argument}"):
        getattr(attlas_ref, name)(*arrays, **options)


def test_the_best_tokens_are_mixed_by_their_probabilities() -> None:
    prob, embedding = np.array([[0.1, 0.4, 0.1, 0.4], [0.0, 0.0, 0.0, 0.0]]), RNG.normal(size=(4, 3))
    network = {name: RNG.normal(size=shape) for name, shape in
               (("w1", (3, 5)), ("b1", (5,)), ("w2", (5, 2)), ("b2", (2,)))}  # fmt: skip
    # Of two tokens as likely the first is taken.
    for top, mean in ((1, embedding[1]), (2, (embedding[1] + embedding[3]) / 2), (9, prob[0] @ embedding)):
        mixed = np.stack([mean, np.zeros(3)])
        expected = np.maximum(mixed @ network["w1"] + network["b1"], 0) @ network["w2"] + network["b2"]
        found = attlas_ref.future_representation(prob, embedding, top=top, **network)
        assert_equal_up_to_rounding(found, expected, operations=100)
