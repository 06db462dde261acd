"""The attentions of image captioning: loops in 50 digits, PyTorch, and what their conventions are."""

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from exact import numbers
from rounding import assert_equal_up_to_rounding

from attlas_ref import (
    doubly_stochastic_penalty,
    sentinel_gate,
    show_attend_attention,
    visual_sentinel_attention,
)

RNG = np.random.default_rng(31)
HIDDEN, REGIONS = RNG.normal(size=(3, 4)), RNG.normal(size=(5, 2))
MASK = np.array([[True, True, False, True, True], [False] * 5, [True] * 5])
SHOW = {
    "w_annotation": RNG.normal(size=(2, 6)),
    "b_annotation": RNG.normal(size=6),
    "w_hidden": RNG.normal(size=(4, 6)),
    "b_hidden": RNG.normal(size=6),
    "w_score": RNG.normal(size=6),
}
GATE = {"w_gate": RNG.normal(size=(4, 2)), "b_gate": RNG.normal(size=2)}
ENOUGH = {"operations": 300, "magnitude": 10.0}


def dot(row: Any, column: Any) -> Any:
    return mp.fsum(x * y for x, y in zip(row, column, strict=True))


def product(row: Any, matrix: np.ndarray) -> list[Any]:
    return [dot(row, column) for column in numbers(matrix.T)]


def softmax(scores: dict[int, Any]) -> dict[int, Any]:
    total = mp.fsum(mp.exp(s) for s in scores.values())
    return {j: mp.exp(s) / total for j, s in scores.items()}


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_gated_context_by_loops(activation: str) -> None:
    act = mp.tanh if activation == "tanh" else lambda x: max(x, mp.mpf(0))
    found = show_attend_attention(
        HIDDEN, REGIONS, **SHOW, **GATE, b_score=0.7, activation=activation, mask=MASK, return_weights=True,
        return_gate=True,
    )  # fmt: skip
    regions, bias = (
        numbers(REGIONS),
        [mp.mpf(float(x + y)) for x, y in zip(SHOW["b_annotation"], SHOW["b_hidden"], strict=True)],
    )
    for t, hidden in enumerate(numbers(HIDDEN)):
        of_state, scores = product(hidden, SHOW["w_hidden"]), {}
        for i in np.flatnonzero(MASK[t]):
            both = [
                x + y + z for x, y, z in zip(of_state, product(regions[i], SHOW["w_annotation"]), bias, strict=True)
            ]
            scores[i] = dot([act(x) for x in both], numbers(SHOW["w_score"][None])[0])
        weights = softmax(scores)
        gate = [
            1 / (1 + mp.exp(-x - mp.mpf(float(b))))
            for x, b in zip(product(hidden, GATE["w_gate"]), GATE["b_gate"], strict=True)
        ]
        context = [mp.fsum(w * regions[i][c] for i, w in weights.items()) for c in range(2)]
        expected = np.array([g * x for g, x in zip(gate, context, strict=True)], dtype=float)
        assert_equal_up_to_rounding(found.output[t], expected, **ENOUGH)
        assert_equal_up_to_rounding(found.gate[t], np.array(gate, dtype=float), **ENOUGH)
        row = np.array([weights.get(i, mp.mpf(0)) for i in range(5)], dtype=float)
        assert_equal_up_to_rounding(found.weights[t], row, **ENOUGH)


def test_the_tutorial_is_relu_with_a_gate_per_feature(torch: Any) -> None:
    # The expression of sgrvinod/a-PyTorch-Tutorial-to-Image-Captioning.
    t = {name: torch.tensor(value) for name, value in {**SHOW, **GATE, "h": HIDDEN, "a": REGIONS}.items()}
    projected = (t["a"] @ t["w_annotation"] + t["b_annotation"])[None] + (t["h"] @ t["w_hidden"] + t["b_hidden"])[
        :, None
    ]
    alpha = torch.softmax(torch.relu(projected) @ t["w_score"] + 0.3, dim=1)
    expected = torch.sigmoid(t["h"] @ t["w_gate"] + t["b_gate"]) * (alpha[..., None] * t["a"]).sum(dim=1)
    found = show_attend_attention(HIDDEN, REGIONS, **SHOW, **GATE, b_score=0.3, activation="relu")
    assert_equal_up_to_rounding(found, expected.numpy(), **ENOUGH)


def test_without_a_gate_the_gate_is_one() -> None:
    output, gate = show_attend_attention(HIDDEN, REGIONS, **SHOW, return_gate=True)
    np.testing.assert_array_equal(gate, np.ones((3, 1)))
    np.testing.assert_array_equal(output, show_attend_attention(HIDDEN, REGIONS, **SHOW))


def test_gates_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="show_attend_attention: w_gate has 3 columns; it needs 1 or D = 2"):
        show_attend_attention(HIDDEN, REGIONS, **SHOW, w_gate=np.ones((4, 3)))
    with pytest.raises(ValueError, match="show_attend_attention: w_gate is None"):
        show_attend_attention(HIDDEN, REGIONS, **SHOW, b_gate=np.ones(2))


def test_a_visible_nan_reaches_the_words_that_see_it() -> None:
    regions = np.where(np.arange(5)[:, None] == 2, np.nan, REGIONS)
    found = show_attend_attention(HIDDEN, regions, **SHOW, mask=MASK, return_weights=True)
    np.testing.assert_array_equal(np.isnan(found.output).all(axis=-1), [False, False, True])
    assert not np.where(MASK, 0, found.weights).any()


def test_gradients_of_the_penalty_are_those_of_autograd(torch: Any) -> None:
    weights = RNG.random((3, 5))
    mask = np.array([True, True, False, True, True])
    tensor = torch.tensor(weights, requires_grad=True)
    penalty = ((0.6 - tensor.sum(dim=0)) ** 2)[torch.tensor(mask)].sum()
    penalty.backward()
    found = doubly_stochastic_penalty(weights, target=0.6, mask=mask)
    assert_equal_up_to_rounding(found, penalty.item(), **ENOUGH)
    slope = np.where(mask, -2 * (0.6 - weights.sum(axis=0)), 0)
    assert_equal_up_to_rounding(np.tile(slope, (3, 1)), tensor.grad.numpy(), **ENOUGH)


def test_hidden_regions_are_not_asked_for() -> None:
    weights = np.where(np.arange(5) == 2, np.nan, RNG.random((3, 5)))
    mask = np.arange(5) != 2
    assert np.isfinite(doubly_stochastic_penalty(weights, mask=mask))
    assert np.isnan(doubly_stochastic_penalty(weights))
    assert doubly_stochastic_penalty(weights, mask=np.zeros(5, dtype=bool)) == 0


def test_without_words_every_region_misses_the_target() -> None:
    np.testing.assert_array_equal(doubly_stochastic_penalty(np.zeros((2, 0, 5)), target=2.0), [20.0, 20.0])


def test_the_sentinel_gate_is_that_of_an_lstm(torch: Any) -> None:
    x, hidden, cell = (RNG.normal(size=(3, width)) for width in (2, 4, 4))
    weights = {"w_input": RNG.normal(size=(2, 4)), "w_hidden": RNG.normal(size=(4, 4))}
    t = [torch.tensor(array) for array in (x, hidden, cell, *weights.values())]
    expected = torch.sigmoid(t[0] @ t[3] + t[1] @ t[4]) * torch.tanh(t[2])
    assert_equal_up_to_rounding(sentinel_gate(x, hidden, cell, **weights), expected.numpy(), **ENOUGH)


SENTINEL = RNG.normal(size=(3, 2))
ADAPTIVE = {
    "w_feature": RNG.normal(size=(2, 6)),
    "w_hidden": RNG.normal(size=(4, 6)),
    "w_sentinel": RNG.normal(size=(2, 6)),
    "w_score": RNG.normal(size=6),
}


def test_a_context_with_a_sentinel_by_loops() -> None:
    found = visual_sentinel_attention(
        HIDDEN, REGIONS, SENTINEL, **ADAPTIVE, mask=MASK, return_weights=True, return_sentinel=True
    )
    regions, sentinels, vector = numbers(REGIONS), numbers(SENTINEL), numbers(ADAPTIVE["w_score"][None])[0]

    def score(projected: list[Any], of_state: list[Any]) -> Any:
        return dot([mp.tanh(x + y) for x, y in zip(projected, of_state, strict=True)], vector)

    for t, hidden in enumerate(numbers(HIDDEN)):
        of_state = product(hidden, ADAPTIVE["w_hidden"])
        scores = {i: score(product(regions[i], ADAPTIVE["w_feature"]), of_state) for i in np.flatnonzero(MASK[t])}
        last = score(product(sentinels[t], ADAPTIVE["w_sentinel"]), of_state)
        alpha, beta = softmax(scores), softmax({**scores, -1: last})[-1]
        context = [mp.fsum(w * regions[i][c] for i, w in alpha.items()) for c in range(2)]
        expected = [beta * s + (1 - beta) * x for s, x in zip(sentinels[t], context, strict=True)]
        assert_equal_up_to_rounding(found.output[t], np.array(expected, dtype=float), **ENOUGH)
        assert_equal_up_to_rounding(found.sentinel[t], float(beta), **ENOUGH)
        row = np.array([alpha.get(i, mp.mpf(0)) for i in range(5)], dtype=float)
        assert_equal_up_to_rounding(found.weights[t], row, **ENOUGH)


def test_a_loud_sentinel_takes_all_and_a_faint_one_nothing() -> None:
    # Scores are tanh · w_score: with a state that saturates them, the sentinel's is as far away as w_score allows.
    regions, sentinel = np.array([[1.0, 0.0], [0.5, 0.0]]), np.array([[0.0, 1.0]])
    for sign, share in ((1, 1), (-1, 0)):
        found = visual_sentinel_attention(
            np.zeros((1, 1)), regions, sentinel, w_feature=np.zeros((2, 1)), w_hidden=np.zeros((1, 1)),
            w_sentinel=np.array([[0.0], [sign * 50.0]]), w_score=np.array([800.0]), return_sentinel=True,
        )  # fmt: skip
        np.testing.assert_array_equal(found.sentinel, [share])
        np.testing.assert_array_equal(found.output, sentinel if share else [[0.75, 0.0]])


def test_regions_and_sentinel_need_the_same_width() -> None:
    with pytest.raises(ValueError, match="visual_sentinel_attention: sentinel has 3 columns and features has 2"):
        visual_sentinel_attention(HIDDEN, REGIONS, np.ones((3, 3)), **ADAPTIVE)
