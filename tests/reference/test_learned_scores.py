"""Scores with learned parts against loops over scalars in 50 digits."""

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from exact import Problem, numbers
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(21)
M, N, D, E = 3, 4, 2, 3
QUERY, KEY, VALUE = RNG.normal(size=(M, D)), RNG.normal(size=(N, D)), RNG.normal(size=(N, E))
MASK = np.array([[True, True, False, True], [False] * 4, [True] * 4])
ENOUGH = {"operations": 2000, "magnitude": float(np.abs(VALUE).sum())}
"""Scores below about 10 behind fewer than 50 operations each."""


def exact(array: Any) -> Any:
    """An array of any rank as nested lists of exact numbers."""
    return [exact(part) for part in array] if np.ndim(array) else mp.mpf(float(array))


def dot(a: Any, b: Any) -> Any:
    return mp.fsum(x * y for x, y in zip(a, b, strict=True))


def times(row: Any, matrix: Any) -> list[Any]:
    return [dot(row, column) for column in zip(*matrix, strict=True)]


def leaky(x: Any, slope: Any) -> Any:
    return x if x > 0 else mp.mpf(slope) * x


def relu(row: list[Any]) -> list[Any]:
    return [max(x, mp.mpf(0)) for x in row]


def added(*rows: Any) -> list[Any]:
    return [mp.fsum(parts) for parts in zip(*rows, strict=True)]


def random(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def additive(w: dict[str, Any], q: Any, k: Any, i: int, j: int) -> Any:
    hidden = added(times(q, w["query_weight"]), times(k, w["key_weight"]), w["score_bias"])
    return dot([mp.tanh(x) for x in hidden], w["score_vector"])


def concat(w: dict[str, Any], q: Any, k: Any, i: int, j: int) -> Any:
    return dot([mp.tanh(x) for x in times(q + k, w["weight"])], w["score_vector"])


def bilinear(w: dict[str, Any], q: Any, k: Any, i: int, j: int) -> Any:
    return dot(times(q, w["weight"]), k)


def neural_one(w: dict[str, Any], q: Any, k: Any, i: int, j: int) -> Any:
    return dot(relu(added(times(q + k, w["weight1"]), w["bias1"])), w["weight3"]) + w["bias3"]


def neural_two(w: dict[str, Any], q: Any, k: Any, i: int, j: int) -> Any:
    first = relu(added(times(q + k, w["weight1"]), w["bias1"]))
    return dot(relu(added(times(first, w["weight2"]), w["bias2"])), w["weight3"]) + w["bias3"]


def graph(w: dict[str, Any], q: Any, k: Any, i: int, j: int) -> Any:
    return leaky(dot(w["query_vector"], q) + dot(w["key_vector"], k) + w["edge_bias"][i][j], 0.2)


def graph_v2(w: dict[str, Any], q: Any, k: Any, i: int, j: int) -> Any:
    return dot(w["score_vector"], [leaky(a + b, 0.2) for a, b in zip(q, k, strict=True)]) + w["edge_bias"][i][j]


CASES: list[tuple[str, dict[str, Any], Callable[..., Any]]] = [
    (
        "additive_attention",
        {"query_weight": random(D, 5), "key_weight": random(D, 5), "score_vector": random(5), "score_bias": random(5)},
        additive,
    ),
    ("concat_attention", {"weight": random(2 * D, 5), "score_vector": random(5)}, concat),
    ("bilinear_attention", {"weight": random(D, D)}, bilinear),
    (
        "neural_attention",
        {"weight1": random(2 * D, 4), "bias1": random(4), "weight3": random(4), "bias3": 0.5},
        neural_one,
    ),
    (
        "neural_attention",
        {
            "weight1": random(2 * D, 4),
            "bias1": random(4),
            "weight2": random(4, 3),
            "bias2": random(3),
            "weight3": random(3),
            "bias3": 0.5,
        },
        neural_two,
    ),
    (
        "graph_attention",
        {"query_vector": random(D), "key_vector": random(D), "edge_bias": random(M, N)},
        graph,
    ),
    ("graph_attention_v2", {"score_vector": random(D), "edge_bias": random(M, N)}, graph_v2),
]


@pytest.mark.parametrize(("name", "learned", "score"), CASES, ids=lambda part: getattr(part, "__name__", ""))
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
def test_output_and_weights_are_those_of_the_loops(
    name: str, learned: dict[str, Any], score: Callable[..., Any], mask: np.ndarray | None
) -> None:
    problem = Problem(QUERY, KEY, VALUE, mask=mask)
    parts = {part: exact(array) for part, array in learned.items()}
    weights = problem.softmax(lambda i, j: score(parts, problem.query[i], problem.key[j], i, j))
    result = getattr(attlas_ref, name)(QUERY, KEY, VALUE, **learned, mask=mask, return_weights=True)
    assert_equal_up_to_rounding(result.weights, weights, **ENOUGH)
    assert_equal_up_to_rounding(result.output, problem.output(weights), **ENOUGH)


def test_conditional_cross_attention_adds_two_scores() -> None:
    where_query, where_key = random(M, 2), random(N, 2)
    actual = attlas_ref.conditional_cross_attention(QUERY, KEY, VALUE, where_query, where_key, mask=MASK)
    both = [np.concatenate(pair, axis=-1) for pair in ((QUERY, where_query), (KEY, where_key))]
    assert_equal_up_to_rounding(actual, attlas_ref.softmax_attention(*both, VALUE, mask=MASK), **ENOUGH)


def test_relational_attention_is_its_sum_over_pairs() -> None:
    heads, relations, width = 2, 3, 2
    query, key, symbols = random(heads, M, D), random(heads, N, D), random(heads, N, E)
    relation_query, relation_key, weight = (
        random(relations, M, width),
        random(relations, N, width),
        random(heads, relations, E),
    )
    result = attlas_ref.relational_attention(
        query,
        key,
        relation_query,
        relation_key,
        symbols,
        relation_weight=weight,
        activation="tanh",
        mask=MASK,
        return_weights=True,
    )
    expected = np.zeros((heads, M, E))
    for h in range(heads):
        for i in range(M):
            for j in range(N):
                related = np.tanh(np.einsum("rp,rp->r", relation_query[:, i], relation_key[:, j]) / np.sqrt(width))
                expected[h, i] += result.weights[h, i, j] * (related @ weight[h] + symbols[h, j])
    assert_equal_up_to_rounding(result.output, expected, **ENOUGH)
    plain = attlas_ref.softmax_attention(query, key, symbols, mask=MASK, return_weights=True).weights
    np.testing.assert_array_equal(result.weights, plain)


def test_selective_attention_is_its_definition() -> None:
    query, key, value = random(2, 5, D), random(2, 5, D), random(2, 5, E)
    scores = np.einsum("hid,hjd->hij", query, key) / np.sqrt(D)
    for keep_first in (False, True):
        penalty = np.zeros((5, 5))
        for i in range(5):
            for j in range(5):
                for l in range(i):  # noqa: E741 (the letter of the formula)
                    if j < l and not (keep_first and j == 0):
                        penalty[i, j] += max(scores[1, l, j], 0)
        expected = attlas_ref.softmax_attention(query, key, value, bias=-penalty, causal=True)
        actual = attlas_ref.selective_attention(query, key, value, select_head=1, keep_first=keep_first)
        assert_equal_up_to_rounding(actual, expected, **ENOUGH)


def test_an_infinite_selection_acts_on_later_queries_only() -> None:
    tokens = np.ones((2, 3, 1))
    query = tokens.copy()
    query[0, 1] = np.inf  # the selecting head's token 1 selects token 0 for good
    output, weights = attlas_ref.selective_attention(query, tokens, tokens, keep_first=False, return_weights=True)
    np.testing.assert_array_equal(output[1], 1.0)
    np.testing.assert_array_equal(weights[1, 1:], [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])


@pytest.mark.parametrize("pad_key", ["both", "left", "right"])
def test_multi_token_attention_is_its_definition(pad_key: str) -> None:
    heads, n, queries, keys = 2, 5, 2, 3
    query, key, value = random(heads, n, D), random(heads, n, D), random(heads, n, E)
    kernel, post, mix = random(heads, queries, keys), random(heads, queries, keys), random(heads, heads)
    left = {"both": 1, "left": 2, "right": 0}[pad_key]

    def convolved(scores: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        result = np.zeros_like(scores)
        for h, i, j, a, b in np.ndindex(heads, n, n, queries, keys):
            row, column = i - (queries - 1) + a, j - left + b
            if 0 <= row < n and 0 <= column < n:
                result[h, i, j] += kernel[h, a, b] * scores[h, row, column]
        return result

    causal = np.tri(n, dtype=bool)
    scores = np.where(causal, np.einsum("hid,hjd->hij", query, key) / np.sqrt(D), 0)
    scores = np.einsum("cij,cd->dij", convolved(scores, kernel), mix)
    terms = np.where(causal, np.exp(scores), 0)
    weights = np.where(causal, convolved(terms / terms.sum(axis=-1, keepdims=True), post), 0)
    actual = attlas_ref.multi_token_attention(
        query,
        key,
        value,
        key_query_kernel=kernel,
        pre_head_mixing=mix,
        post_kernel=post,
        pad_key=pad_key,
        return_weights=True,
    )
    assert_equal_up_to_rounding(actual.weights, weights, **ENOUGH)
    assert_equal_up_to_rounding(actual.output, weights @ value, **ENOUGH)


def test_threshold_relative_attention_is_its_definition() -> None:
    n = 6
    query, key, value, forget = random(n, D), random(n, D), random(n, E), random(n)
    scores = query @ key.T / np.sqrt(D)
    bias, keep = np.zeros((n, n)), np.zeros((n, n), dtype=bool)
    for i in range(n):
        kept = [j for j in range(i + 1) if scores[i, j] > 0.1]
        keep[i, kept] = True
        for j in kept:
            bias[i, j] = -np.log1p(np.exp(-forget[i])) * sum(l >= j for l in kept)  # noqa: E741
    expected = attlas_ref.softmax_attention(query, key, value, bias=bias, mask=keep)
    actual = attlas_ref.threshold_relative_attention(query, key, value, forget=forget, qk_norm=False, threshold=0.1)
    assert_equal_up_to_rounding(actual, expected, **ENOUGH)


def test_stacked_cross_attention_is_its_definition() -> None:
    temperature, factors = np.abs(random(M)), random(M, D)
    similarity = (factors * QUERY) @ KEY.T
    rectified = np.where(MASK, np.where(similarity > 0, similarity, 0.1 * similarity), 0)
    norm = np.sqrt((rectified**2).sum(axis=0)) + 1e-8
    scores = numbers(temperature[:, None] * rectified / norm)
    problem = Problem(QUERY, KEY, VALUE, mask=MASK)
    expected = problem.output(problem.softmax(lambda i, j: scores[i][j]))
    actual = attlas_ref.stacked_cross_attention(
        QUERY, KEY, VALUE, inverse_temperature=temperature, factors=factors, mask=MASK
    )
    assert_equal_up_to_rounding(actual, expected, **ENOUGH)


def test_coulomb_graph_attention_is_its_definition() -> None:
    features, adjacency, power = random(4, 3), RNG.uniform(0.5, 2.0, (4, 4)), random(4, 4)
    weight, bias, matrix = random(3, 2), random(4, 2), random(4, 2)
    projected = features @ weight + bias
    potential = np.exp(adjacency**power)
    gathered = potential / potential.sum(axis=-1, keepdims=True) @ projected
    scores = np.array([[matrix[i] @ gathered[j] for j in range(4)] for i in range(4)])
    terms = np.exp(np.where(scores > 0, scores, 0.2 * scores))
    expected = np.maximum(terms / terms.sum(axis=-1, keepdims=True) @ projected, 0)
    actual = attlas_ref.coulomb_graph_attention(
        features, adjacency, weight=weight, node_bias=bias, score_matrix=matrix, power=power
    )
    assert_equal_up_to_rounding(actual, expected, operations=10_000, magnitude=10.0)


@pytest.mark.parametrize("method", ["scan", "sequential"])
def test_prefix_attention_is_causal_attention_with_the_query_repeated(method: str) -> None:
    query, key, value = random(2, 1, D), random(2, 7, D), random(2, 7, E)
    mask, bias = RNG.random((2, 7)) < 0.7, random(7)
    expected = attlas_ref.softmax_attention(
        np.repeat(query, 7, axis=-2), key, value, causal=True, mask=mask[:, None], bias=bias
    )
    actual = attlas_ref.prefix_attention(query[:, 0], key, value, mask=mask, bias=bias, method=method)
    assert_equal_up_to_rounding(actual, expected, **ENOUGH)
    left, state = attlas_ref.prefix_attention(
        query[:, 0], key[:, :3], value[:, :3], mask=mask[:, :3], bias=bias[:3], method=method, return_state=True
    )
    right = attlas_ref.prefix_attention(
        query[:, 0], key[:, 3:], value[:, 3:], mask=mask[:, 3:], bias=bias[3:], method=method, state=state
    )
    assert_equal_up_to_rounding(np.concatenate([left, right], axis=-2), expected, **ENOUGH)


def test_a_learned_prefix_is_a_convex_mixture() -> None:
    prefix_key, prefix_value = random(2, D), random(2, E)
    output, share = attlas_ref.prefix_tuning_attention(
        QUERY, KEY, VALUE, prefix_key, prefix_value, mask=MASK, return_share=True
    )
    whole = np.concatenate([prefix_key, KEY]), np.concatenate([prefix_value, VALUE])
    longer = np.concatenate([np.ones((M, 2), dtype=bool), MASK], axis=1)
    expected = attlas_ref.softmax_attention(QUERY, *whole, mask=longer, return_weights=True)
    assert_equal_up_to_rounding(output, expected.output, **ENOUGH)
    assert_equal_up_to_rounding(share, expected.weights[:, :2].sum(axis=-1), **ENOUGH)


def test_mutual_attention_is_attention_in_both_directions() -> None:
    second_value = random(M, 2)
    first, second = attlas_ref.mutual_attention(QUERY, KEY, second_value, VALUE, mask=MASK)
    np.testing.assert_array_equal(first, attlas_ref.softmax_attention(QUERY, KEY, VALUE, mask=MASK))
    assert_equal_up_to_rounding(second, attlas_ref.softmax_attention(KEY, QUERY, second_value, mask=MASK.T), **ENOUGH)


def test_the_projections_of_lean_super_and_optimized_attention() -> None:
    x, y, z = random(M, 4), random(N, 4), random(N, 4)
    query_weight, output_weight, alignment = random(4, 4), random(4, 4), random(N, N)
    lean = attlas_ref.softmax_attention(x @ query_weight, y, z) @ output_weight
    weights = {"query_weight": query_weight, "output_weight": output_weight}
    assert_equal_up_to_rounding(attlas_ref.lean_attention(x, y, z, **weights), lean, **ENOUGH)
    mixed = attlas_ref.lean_attention(x, y, alignment @ z, **weights)
    assert_equal_up_to_rounding(attlas_ref.super_attention(x, y, z, **weights, alignment=alignment), mixed, **ENOUGH)
    per_head = {"query_weight": random(2, 4, 3), "key_weight": random(2, 4, 3)}
    heads = [
        attlas_ref.softmax_attention(x @ wq, y @ wk, z[:, 2 * h : 2 * h + 2])
        for h, (wq, wk) in enumerate(zip(*per_head.values(), strict=True))
    ]
    expected = np.concatenate(heads, axis=-1) @ output_weight
    actual = attlas_ref.optimized_attention(x, y, z, **per_head, output_weight=output_weight)
    assert_equal_up_to_rounding(actual, expected, **ENOUGH)


def test_sources_are_added_with_gates_or_joined() -> None:
    keys, values, masks = [random(3, D), random(5, D)], [random(3, E), random(5, E)], [None, RNG.random((M, 5)) < 0.7]
    gates = [random(M, 1), 0.0]
    first = attlas_ref.softmax_attention(QUERY, keys[0], values[0])
    values[1][0, 0] = np.nan
    actual = attlas_ref.multi_source_attention(QUERY, keys, values, gates=gates, masks=masks)
    assert_equal_up_to_rounding(actual, gates[0] * first, **ENOUGH)
    values[1][0, 0] = 1.0
    joint = attlas_ref.multi_source_attention(QUERY, keys, values, mode="joint", masks=masks, return_weights=True)
    energies = [
        attlas_ref.attention_energy(QUERY, key, mask=mask)[:, None] for key, mask in zip(keys, masks, strict=True)
    ]
    partition = [np.exp(-energy) for energy in energies]
    shares = [part / sum(partition) for part in partition]
    mixed = attlas_ref.multi_source_attention(QUERY, keys, values, gates=shares, masks=masks)
    assert_equal_up_to_rounding(joint.output, mixed, **ENOUGH)
    assert_equal_up_to_rounding(joint.weights[0].sum(axis=-1), shares[0][:, 0], **ENOUGH)
    with pytest.raises(ValueError, match="gates"):
        attlas_ref.multi_source_attention(QUERY, keys, values, gates=gates, mode="joint")
