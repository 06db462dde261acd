"""Copying and coverage: scalar loops, the expressions of public code, limits, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

from attlas_ref import (
    copy_gate,
    copy_log_prob,
    copy_mixture,
    coverage_attention,
    coverage_loss,
    pointer_sentinel_mixture,
)

RNG = np.random.default_rng(41)
ENOUGH = {"operations": 200, "magnitude": 10.0}


def drawn_mixture(m: int = 3, n: int = 6, known: int = 4) -> tuple[Any, ...]:
    vocab, weights = RNG.dirichlet(np.ones(known), m), RNG.dirichlet(np.ones(n), m)
    return vocab, weights, RNG.random(m), RNG.integers(0, known + 3, n)


def test_a_mixture_by_loops() -> None:
    vocab, weights, gate, ids = drawn_mixture()
    expected = np.zeros((3, 9))
    for i in range(3):
        for word in range(4):
            expected[i, word] += gate[i] * vocab[i, word]
        for j, word in enumerate(ids):
            expected[i, word] += (1 - gate[i]) * weights[i, j]
    found = copy_mixture(vocab, weights, gate, ids, size=9)
    assert_equal_up_to_rounding(found, expected, **ENOUGH)
    assert_equal_up_to_rounding(found.sum(axis=-1), np.ones(3), **ENOUGH)


def test_the_copy_generator_of_opennmt(torch: Any) -> None:
    # onmt/modules/copy_generator.py with a batch of 1: the words of the source have numbers of their own.
    vocab, weights, gate, ids = (torch.tensor(x) for x in drawn_mixture())
    source_map = torch.nn.functional.one_hot(ids, 7).to(weights.dtype)
    copy = (1 - gate)[:, None]
    expected = torch.cat([vocab * (1 - copy), torch.mm(weights * copy, source_map)], dim=1)
    found = copy_mixture(vocab.numpy(), weights.numpy(), gate.numpy(), ids.numpy() + 4, size=11)
    assert_equal_up_to_rounding(found, expected.numpy(), **ENOUGH)


def test_the_result_is_as_wide_as_the_words_need() -> None:
    vocab, weights, gate, _ = drawn_mixture(n=2)
    for ids, wide in (([0, 1], 4), ([3, 3], 4), ([0, 4], 5), ([9, 0], 10)):
        assert copy_mixture(vocab, weights, gate, np.array(ids)).shape == (3, wide)
    nothing = copy_mixture(vocab, np.zeros((3, 0)), gate, np.zeros(0, dtype=int))
    np.testing.assert_array_equal(nothing, gate[:, None] * vocab)


def test_each_member_of_a_batch_has_words_of_its_own() -> None:
    vocab, weights, gate, _ = drawn_mixture()
    ids = RNG.integers(0, 6, (2, 6))
    both = copy_mixture(vocab, weights, gate, ids, size=7)
    rows = copy_mixture(np.stack([vocab] * 2), np.stack([weights] * 2), gate, ids[:, None, :], size=7)
    for index in range(2):
        alone = copy_mixture(vocab, weights, gate, ids[index], size=7)
        np.testing.assert_array_equal(both[index], alone)
        np.testing.assert_array_equal(rows[index], alone)


def test_a_nan_stays_with_its_word() -> None:
    vocab, weights, gate, _ = drawn_mixture(n=3)
    weights[1, 2] = np.nan
    found = copy_mixture(vocab, weights, gate, np.array([0, 1, 5]))
    np.testing.assert_array_equal(np.argwhere(np.isnan(found)), [[1, 5]])


@pytest.mark.parametrize("function", [copy_mixture, copy_log_prob])
def test_what_is_no_mixture_is_refused(function: Any) -> None:
    name = function.__name__
    vocab, weights, gate, ids = drawn_mixture()
    target = (np.zeros(3, dtype=int),) if function is copy_log_prob else ()
    with pytest.raises(ValueError, match=f"{name}: source_ids holds -1; it needs numbers of at least 0"):
        function(vocab, weights, gate, np.array([0, 1, 2, -1, 0, 0]), *target)
    with pytest.raises(TypeError, match=f"{name}: source_ids holds a number that is not whole"):
        function(vocab, weights, gate, ids + 0.5, *target)
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match=f"{name}: gate leaves the range"):
            function(vocab, weights, np.array([0.5, wrong, 0.5]), ids, *target)


def test_a_size_must_hold_every_word() -> None:
    vocab, weights, gate, _ = drawn_mixture()
    ids = np.array([0, 1, 2, 3, 4, 5])
    assert copy_mixture(vocab, weights, gate, ids, size=6).shape == (3, 6)
    for size in (3, 5):
        with pytest.raises(ValueError, match=f"copy_mixture: size is {size}; it needs at least V = 4, and more than 5"):
            copy_mixture(vocab, weights, gate, ids, size=size)


def test_the_gate_is_a_logistic_regression(torch: Any) -> None:
    context, state, word = (RNG.normal(size=(3, width)) for width in (2, 4, 5))
    vectors = [RNG.normal(size=width) for width in (2, 4, 5)]
    layer = torch.nn.Linear(11, 1, dtype=torch.float64)
    with torch.no_grad():
        layer.weight[0] = torch.tensor(np.concatenate(vectors))
        layer.bias[0] = 0.7
        expected = torch.sigmoid(layer(torch.tensor(np.concatenate([context, state, word], axis=1))))[:, 0]
    found = copy_gate(context, state, word, w_context=vectors[0], w_state=vectors[1], w_embedded=vectors[2], b=0.7)
    assert_equal_up_to_rounding(found, expected.numpy(), **ENOUGH)


def test_a_likelihood_needs_no_floor() -> None:
    # A gate of 1e-30 and a probability of 1e-30: their product is below the smallest float32.
    vocab, gate = np.array([[1e-30, 1.0]], dtype=np.float32), np.array([1e-30], dtype=np.float32)
    weights = np.ones((1, 1), dtype=np.float32)
    found = copy_log_prob(vocab, weights, gate, np.array([1]), np.array([0]))
    np.testing.assert_allclose(found, -60 * math.log(10), rtol=1e-6)
    assert copy_log_prob(vocab, weights, gate, np.array([1]), np.array([2])) == -np.inf


def test_a_likelihood_does_not_build_the_wide_array() -> None:
    vocab, weights, gate, ids = drawn_mixture()
    far = 10**12  # a row of so many words would not fit anywhere
    ids[0] = far
    found = copy_log_prob(vocab, weights, gate, ids, np.full(3, far))
    assert_equal_up_to_rounding(found, np.log((1 - gate) * weights[:, 0]), **ENOUGH)


def test_targets_are_words() -> None:
    vocab, weights, gate, ids = drawn_mixture()
    with pytest.raises(ValueError, match="copy_log_prob: target holds -2; it needs numbers of at least 0"):
        copy_log_prob(vocab, weights, gate, ids, np.array([0, -2, 1]))


SENTINEL = {"w_query": RNG.normal(size=(3, 2)), "b_query": RNG.normal(size=2)}


def test_a_sentinel_by_loops() -> None:
    query, key, sentinel = RNG.normal(size=(2, 3)), RNG.normal(size=(4, 2)), RNG.normal(size=2)
    vocab, ids = RNG.dirichlet(np.ones(3), 2), np.array([1, 5, 1, 0])
    mask = np.array([[True, True, True, False], [False] * 4])
    found = pointer_sentinel_mixture(query, key, sentinel, vocab, ids, **SENTINEL, mask=mask, return_gate=True)
    expected = np.zeros((2, 6))
    for i in range(2):
        asked = [
            math.tanh(sum(query[i, c] * SENTINEL["w_query"][c, a] for c in range(3)) + SENTINEL["b_query"][a])
            for a in range(2)
        ]
        parts = {j: math.exp(sum(asked[a] * key[j, a] for a in range(2))) for j in range(4) if mask[i, j]}
        own = math.exp(sum(asked[a] * sentinel[a] for a in range(2)))
        total = own + sum(parts.values())
        expected[i, :3] += own / total * vocab[i]
        for j, part in parts.items():
            expected[i, ids[j]] += part / total
        assert_equal_up_to_rounding(found.gate[i], own / total, **ENOUGH)
    assert_equal_up_to_rounding(found.output, expected, **ENOUGH)
    np.testing.assert_array_equal(found.gate[1], 1)


def test_a_loud_sentinel_speaks_alone_and_a_faint_one_not_at_all() -> None:
    query, key, vocab, ids = np.ones((1, 1)), np.zeros((2, 1)), np.array([[0.25, 0.75]]), np.array([1, 2])
    network = {"w_query": np.array([[1.0]]), "b_query": np.zeros(1)}
    for loudness, expected in ((1e4, [[0.25, 0.75, 0]]), (-1e4, [[0, 0.5, 0.5]])):
        found = pointer_sentinel_mixture(query, key, np.array([loudness]), vocab, ids, **network)
        np.testing.assert_array_equal(found, expected)


def test_words_that_nobody_sees_need_no_room() -> None:
    query, key, sentinel, vocab = np.ones((1, 3)), np.ones((3, 2)), np.ones(2), np.ones((1, 4)) / 4
    seen = np.array([[True, False, True]])
    for hidden in (-5, 10**12):
        found = pointer_sentinel_mixture(query, key, sentinel, vocab, np.array([0, hidden, 4]), **SENTINEL, mask=seen)
        assert found.shape == (1, 5)
    with pytest.raises(ValueError, match="pointer_sentinel_mixture: source_ids holds -5"):
        pointer_sentinel_mixture(query, key, sentinel, vocab, np.array([-5, 0, 4]), **SENTINEL, mask=seen)


QUERY, KEY, VALUE = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 2)), RNG.normal(size=(5, 2))
NETWORK = {
    "w_query": RNG.normal(size=(3, 6)),
    "w_key": RNG.normal(size=(2, 6)),
    "b_key": RNG.normal(size=6),
    "w_coverage": RNG.normal(size=6),
    "b_coverage": RNG.normal(size=6),
    "v": RNG.normal(size=6),
}


def test_the_coverage_attention_of_espnet(torch: Any) -> None:
    # espnet/nets/pytorch_backend/rnn/attentions.py, AttCov: its first coverage is uniform, its scaling 2.
    t = {name: torch.tensor(array) for name, array in NETWORK.items()}
    query, key, value = (torch.tensor(x) for x in (QUERY, KEY, VALUE))
    past, outputs = [torch.full((5,), 1 / 5, dtype=torch.float64)], []
    for i in range(4):
        covered = sum(past)[:, None] * t["w_coverage"] + t["b_coverage"]
        e = torch.tanh(covered + key @ t["w_key"] + t["b_key"] + query[i] @ t["w_query"]) @ t["v"] + 0.3
        past.append(torch.softmax(2.0 * e, dim=0))
        outputs.append(past[-1] @ value)
    found = coverage_attention(
        QUERY, KEY, VALUE, **NETWORK, b_v=0.3, scale=2.0, initial="uniform", return_weights=True, return_coverage=True
    )
    assert_equal_up_to_rounding(found.output, torch.stack(outputs).numpy(), **ENOUGH)
    assert_equal_up_to_rounding(found.weights, torch.stack(past[1:]).numpy(), **ENOUGH)
    assert_equal_up_to_rounding(found.coverage, sum(past).numpy(), **ENOUGH)


def test_a_uniform_start_is_even_over_what_the_first_step_sees() -> None:
    mask = np.ones((4, 5), dtype=bool)
    mask[0, [1, 4]] = False
    given = coverage_attention(QUERY, KEY, VALUE, **NETWORK, mask=mask, initial=np.array([1, 0, 1, 1, 0]) / 3)
    np.testing.assert_array_equal(coverage_attention(QUERY, KEY, VALUE, **NETWORK, mask=mask, initial="uniform"), given)


def test_without_steps_the_coverage_is_where_it_began() -> None:
    start = RNG.random(5)
    found = coverage_attention(QUERY[:0], KEY, VALUE, **NETWORK, initial=start, return_coverage=True)
    assert found.output.shape == (0, 2)
    np.testing.assert_array_equal(found.coverage, start)


def test_a_nan_reaches_the_steps_after_it_and_no_earlier_ones() -> None:
    query = np.where(np.arange(4)[:, None] == 2, np.nan, QUERY)
    found = coverage_attention(query, KEY, VALUE, **NETWORK)
    np.testing.assert_array_equal(np.isnan(found).all(axis=-1), [False, False, True, True])
    assert np.isfinite(found[:2]).all()


def test_a_coverage_is_not_negative() -> None:
    start = np.array([0.0, -1.0, 0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="coverage_attention: initial holds a negative number"):
        coverage_attention(QUERY, KEY, VALUE, **NETWORK, initial=start)
    coverage_attention(QUERY, KEY, VALUE, **NETWORK, initial=start, mask=np.arange(5) != 1)
    with pytest.raises(ValueError, match="coverage_attention: initial is 'ones'"):
        coverage_attention(QUERY, KEY, VALUE, **NETWORK, initial="ones")
    with pytest.raises(ValueError, match="coverage_loss: initial holds a negative number"):
        coverage_loss(np.eye(3), initial=-0.5)


def test_the_coverage_loss_by_loops() -> None:
    weights, start = RNG.dirichlet(np.ones(5), 4), RNG.random(5)
    for initial in (0.0, 0.25, start):
        covered, expected = [float(x) for x in np.broadcast_to(initial, 5)], 0.0
        for row in weights:
            for j, weight in enumerate(row):
                expected += min(weight, covered[j])
                covered[j] += weight
        found = coverage_loss(weights, initial=initial)
        assert_equal_up_to_rounding(found, expected, **ENOUGH)
        assert 0 <= found <= 4


def test_a_small_coverage_under_a_large_weight_is_not_lost() -> None:
    assert coverage_loss(np.array([[1e-20], [1.0]])) == 1e-20
