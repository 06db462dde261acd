"""Matching in pairs and triples: the tasks by brute force, the constructions that solve them, and why one head of
softmax attention cannot solve the second.

| in the specification | here |
| --- | --- |
| equals brute force | `test_matches_are_those_of_brute_force` |
| permutation equivariant | `test_matches_follow_their_tokens` |
| the two equivalences, M from 2 to 16; finite scores | `test_tensor_attention_solves_match3`, |
| | `test_softmax_attention_solves_match2`, `test_scores_keep_their_distance` |
| the addition theorem, five channels | `test_the_cosine_of_a_sum_is_four_products` |
| bad input | `test_a_mistake_is_refused` |

Triple detection, "solved by third-order attention and provably not by one softmax head of the same width", is what
`test_tensor_attention_tells_the_four_inputs_apart` and `test_no_sum_over_single_partners_tells_the_four_inputs_apart`
say; the second is exact, in integers. `test_heads_of_softmax_attention_miss_one_of_four` runs heads of several widths
against it, and `test_below_four_a_head_is_enough` shows that the condition M >= 4 is needed.
"""

import itertools
from typing import Any

import numpy as np
import pytest
import sympy as sp

import attlas_ref

RNG = np.random.default_rng(79)
MODULI = range(2, 17)
Inputs = np.ndarray


def has_partners(tokens: Any, modulus: int, count: int) -> list[bool]:
    return [any((x + sum(others)) % modulus == 0 for others in itertools.product(tokens, repeat=count)) for x in tokens]


def every_token(modulus: int) -> list[list[int]]:
    """Random tokens, few and many, some with hardly any different ones."""
    few = [RNG.choice(RNG.integers(0, modulus, 2), n).tolist() for n in (1, 2, 5)]
    return [RNG.integers(0, modulus, n).tolist() for n in (0, 1, 2, 3, 4, 7, 12)] + few


@pytest.mark.parametrize("modulus", MODULI)
def test_matches_are_those_of_brute_force(modulus: int) -> None:
    for tokens in every_token(modulus):
        x = np.array(tokens, dtype=np.int64)
        assert attlas_ref.match2_task(x, modulus=modulus).tolist() == has_partners(tokens, modulus, 1)
        assert attlas_ref.match3_task(x, modulus=modulus).tolist() == has_partners(tokens, modulus, 2)


def test_matches_follow_their_tokens() -> None:
    tokens, order = RNG.integers(0, 40, (3, 8)), RNG.permutation(8)
    for task in (attlas_ref.match2_task, attlas_ref.match3_task):
        np.testing.assert_array_equal(task(tokens[:, order], modulus=40), task(tokens, modulus=40)[:, order])


@pytest.mark.parametrize("modulus", MODULI)
def test_tensor_attention_solves_match3(modulus: int) -> None:
    for tokens in every_token(modulus):
        x = np.array(tokens, dtype=np.int64)
        output = attlas_ref.tensor_attention(*attlas_ref.match3_construction(x, modulus=modulus), scale=1.0)
        assert (output[..., 0] > 0.5).tolist() == has_partners(tokens, modulus, 2)


@pytest.mark.parametrize("modulus", MODULI)
def test_softmax_attention_solves_match2(modulus: int) -> None:
    for tokens in every_token(modulus):
        x = np.array(tokens, dtype=np.int64)
        output = attlas_ref.softmax_attention(*attlas_ref.match2_construction(x, modulus=modulus), scale=1.0)
        assert (output[..., 0] > 0.5).tolist() == has_partners(tokens, modulus, 1)


@pytest.mark.parametrize("modulus", [*MODULI, 1000])
def test_scores_keep_their_distance(modulus: int) -> None:
    """At least log 4(n + 1)² for a match, at most minus that for a miss, 0 with a null token; widths as promised."""
    tokens = RNG.integers(0, modulus, 9)
    query, keys, values = attlas_ref.match3_construction(tokens, modulus=modulus)
    assert query.shape == (9, 5)
    assert [key.shape for key in keys] == [(10, 5)] * 2
    assert [value.shape for value in values] == [(10, 1)] * 2
    scores = np.einsum("ic,jc,kc->ijk", query, *keys)
    assert np.isfinite(scores).all()
    assert not scores[:, 9].any()
    assert not scores[:, :, 9].any()
    match = (tokens[:, None, None] + tokens[:, None] + tokens) % modulus == 0
    # A score is a sum of five products whose strength is that of the last one.
    margin, rounding = np.log(4 * 10**2), 40 * np.finfo(float).eps * np.abs(query).max()
    real = scores[:, :9, :9]
    assert (real[match] >= margin - rounding).all()
    assert (real[~match] <= -margin + rounding).all()


def test_the_cosine_of_a_sum_is_four_products() -> None:
    a, b, c = sp.symbols("a b c", real=True)
    query = sp.cos(a), -sp.cos(a), -sp.sin(a), -sp.sin(a)
    key1, key2 = (sp.cos(b), sp.sin(b)) * 2, (sp.cos(c), sp.sin(c), sp.sin(c), sp.cos(c))
    score = sum(x * y * z for x, y, z in zip(query, key1, key2, strict=True))
    assert sp.expand(sp.expand_trig(sp.cos(a + b + c)) - score) == 0


def four_inputs(modulus: int, n: int) -> tuple[Inputs, Inputs]:
    """Two inputs whose first token has a match and two whose first token has none, behind them tokens of 1."""
    rest = [1] * (n - 3)
    matches = [[1, 0, modulus - 1, *rest], [1, modulus - 1, 0, *rest]]
    misses = [[1, 0, 0, *rest], [1, modulus - 1, modulus - 1, *rest]]
    return np.array(matches), np.array(misses)


@pytest.mark.parametrize("modulus", range(4, 17))
def test_no_sum_over_single_partners_tells_the_four_inputs_apart(modulus: int) -> None:
    """The certificate: both pairs of inputs hold the same tokens at every position, and so have the same sums.

    The sign that a head decides by is that of a sum over positions j of a number g that depends on j and the token
    there alone (the first token is 1 throughout). Over the two matches such numbers add up to what they add up to over
    the two misses, whatever g is.
    """
    for n in (3, 4, 9):
        matches, misses = four_inputs(modulus, n)
        assert attlas_ref.match3_task(matches, modulus=modulus)[:, 0].all()
        assert not attlas_ref.match3_task(misses, modulus=modulus)[:, 0].any()
        np.testing.assert_array_equal(np.sort(matches, axis=0), np.sort(misses, axis=0))


@pytest.mark.parametrize("modulus", range(4, 17))
def test_tensor_attention_tells_the_four_inputs_apart(modulus: int) -> None:
    for inputs, expected in zip(four_inputs(modulus, 5), (True, False), strict=True):
        query, keys, values = attlas_ref.match3_construction(inputs, modulus=modulus)
        assert query.shape[-1] == 5
        found = attlas_ref.tensor_attention(query, keys, values, scale=1.0)[:, 0, 0] > 0.5
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("width", [1, 5, 64])
def test_heads_of_softmax_attention_miss_one_of_four(width: int) -> None:
    """Heads with an embedding for every token at every position, and the best threshold for their outputs."""
    modulus, heads = 8, 400
    inputs = np.concatenate(four_inputs(modulus, 4))  # (4, 4)
    table = RNG.normal(size=(heads, 1, 4, modulus, width)) * 10.0 ** RNG.uniform(-1, 1, (heads, 1, 1, 1, 1))
    place = np.arange(4)
    query = np.broadcast_to(RNG.normal(size=(heads, 1, 1, width)), (heads, 4, 1, width))
    key = table[:, 0][:, place, inputs]  # (heads, inputs, positions, width)
    value = RNG.normal(size=(heads, 4, modulus, 1))[:, place, inputs]
    output = attlas_ref.softmax_attention(query, key, value)[..., 0, 0]  # (heads, inputs)
    # All four are told apart only if both matches lie above both misses.
    gap = output[:, :2].min(axis=-1) - output[:, 2:].max(axis=-1)
    # Never, up to rounding: a threshold in between would contradict the certificate.
    assert (gap <= 100 * np.finfo(float).eps * np.abs(value).max()).all()


@pytest.mark.parametrize("modulus", [2, 3])
def test_below_four_a_head_is_enough(modulus: int) -> None:
    # M = 3: x + x + x = 0. M = 2: a token finds its triple iff a 0 is present.
    for tokens in itertools.product(range(modulus), repeat=5):
        x = np.array(tokens)
        found = (x == 0).astype(float)[:, None] if modulus == 2 else np.ones((5, 1))
        output = attlas_ref.softmax_attention(np.full((5, 1), np.log(20.0)), found, found, scale=1.0)
        assert (output[:, 0] > 0.5).tolist() == has_partners(tokens, modulus, 2)


@pytest.mark.parametrize("name", ["match2_task", "match3_task", "match2_construction", "match3_construction"])
@pytest.mark.parametrize(
    ("tokens", "modulus", "kind", "argument"),
    [
        ([0], 1, ValueError, "modulus"),
        ([0, 5], 5, ValueError, "tokens"),
        ([-1], 5, ValueError, "tokens"),
        ([0.5], 5, TypeError, "tokens"),
        ([0], 2.5, TypeError, "modulus"),
    ],
)
def test_a_mistake_is_refused(name: str, tokens: Any, modulus: Any, kind: type[Exception], argument: str) -> None:
    with pytest.raises(kind, match=rf"^{name}: {argument}"):
        getattr(attlas_ref, name)(tokens, modulus=modulus)
