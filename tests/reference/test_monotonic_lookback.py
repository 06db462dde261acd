"""Chunks, infinite lookback and heads: against plain loops in extended precision, and with energies far apart."""

from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(73)
ROUNDINGS = {"operations": 100}


def masses(*shape: int) -> np.ndarray:
    return RNG.dirichlet(np.ones(shape[-1] + 1), size=shape[:-1])[..., :-1]


def lookback_loop(alignment: Any, energy: Any, mask: Any, w: int) -> Any:
    """The double sum of the definition, each softmax by itself, in extended precision."""
    m, n = alignment.shape
    weights = np.zeros((m, n), dtype=np.longdouble)
    for i in range(m):
        for k in range(n):
            if not mask[i, k]:
                continue
            chunk = [j for j in range(max(0, k - w + 1), k + 1) if mask[i, j]]
            u = energy[i, chunk].astype(np.longdouble)
            part = np.exp(u - u.max())
            weights[i, chunk] += alignment[i, k] * part / part.sum()
    return weights.astype(np.float64)


@pytest.mark.parametrize("w", [1, 2, 3, 5, 6, 9])
@pytest.mark.parametrize("spread", [1.0, 300.0, 1e4])
def test_weights_are_the_sums_of_the_definition(w: int, spread: float) -> None:
    for case in range(6):
        alignment, energy = masses(3, 6), spread * RNG.normal(size=(3, 6))
        mask = RNG.random((3, 6)) < 0.7 if case % 2 else np.ones((3, 6), dtype=bool)
        expected = lookback_loop(alignment, energy, mask, w)
        weights = attlas_ref.mocha_weights(alignment, energy, chunk_size=w, mask=mask)
        assert_equal_up_to_rounding(weights, expected, **ROUNDINGS)
        if w >= 6:
            weights = attlas_ref.infinite_lookback_weights(alignment, energy, mask=mask)
            assert_equal_up_to_rounding(weights, expected, **ROUNDINGS)


@pytest.mark.parametrize("order", [1, -1])
def test_energies_far_apart_keep_their_digits(order: int) -> None:
    # A stop at key k reads almost nothing but the best key so far, whose energy is exact; the rest is e^-1000.
    n = 8
    energy = 1000.0 * np.arange(n)[::order][None]
    alignment = masses(1, n)
    for weights in (
        attlas_ref.infinite_lookback_weights(alignment, energy),
        attlas_ref.mocha_weights(alignment, energy, chunk_size=n),
    ):
        expected = alignment if order == 1 else alignment.sum() * np.eye(1, n)
        assert_equal_up_to_rounding(weights, expected, operations=10)


def test_the_walk_back_keeps_small_weights() -> None:
    # Each weight is a product of shares: the smallest of them is right to its last digits too.
    n, gap = 12, 20.0
    alignment, energy = np.eye(1, n, k=n - 1), gap * np.arange(n)[None]
    part = np.exp(energy - energy.max())
    weights = attlas_ref.infinite_lookback_weights(alignment, energy)
    exact = part / part.sum()
    assert (np.abs(weights / exact - 1) < 10 * n * np.finfo(float).eps * gap).all()
    assert weights.min() < 1e-80


def test_what_is_hidden_may_be_anything() -> None:
    alignment, energy = masses(3, 5), RNG.normal(size=(3, 5))
    mask = RNG.random((3, 5)) < 0.6
    for function, options in (
        (attlas_ref.mocha_weights, {"chunk_size": 3}),
        (attlas_ref.infinite_lookback_weights, {}),
    ):
        clean = function(alignment, energy, mask=mask, **options)
        for strange in (np.nan, np.inf, -np.inf):
            fouled = function(np.where(mask, alignment, strange), np.where(mask, energy, strange), mask=mask, **options)
            np.testing.assert_array_equal(fouled, clean)
        assert not clean[~mask].any()


def test_a_visible_nan_stays_in_its_row_and_off_hidden_keys() -> None:
    alignment, energy, mask = masses(3, 5), RNG.normal(size=(3, 5)), np.ones((3, 5), dtype=bool)
    mask[:, 1], energy[1, 2] = False, np.nan
    for weights in (
        attlas_ref.mocha_weights(alignment, energy, chunk_size=2, mask=mask),
        attlas_ref.infinite_lookback_weights(alignment, energy, mask=mask),
    ):
        assert np.isnan(weights).any(axis=-1).tolist() == [False, True, False]
        assert not weights[:, 1].any()


@pytest.mark.parametrize(("back", "forward"), [(1, 1), (3, 1), (1, 4), (2, 3), (50, 1), (1, 50)])
@pytest.mark.parametrize("n", [0, 1, 4, 9])
def test_moving_sums_are_loops(back: int, forward: int, n: int) -> None:
    x = RNG.normal(size=(2, n))
    expected = np.zeros((2, n))
    for j in range(n):
        for l in range(max(0, j - back + 1), min(n, j + forward)):  # noqa: E741
            expected[:, j] += x[:, l]
    assert_equal_up_to_rounding(attlas_ref.moving_sum(x, back=back, forward=forward), expected, operations=40)


def test_a_large_number_leaves_the_window_without_a_trace() -> None:
    x = np.array([1e17, 1.0, 1.0, 1.0, 1.0])
    assert attlas_ref.moving_sum(x, back=2, forward=1)[2:].tolist() == [2.0, 2.0, 2.0]


def test_hard_chunks_are_softmaxes_up_to_the_stop() -> None:
    query, key, value = RNG.normal(size=(4, 3)), RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))
    energy = RNG.normal(size=(4, 6))
    found = attlas_ref.mocha_attention(
        query, key, value, chunk_size=3, energy=energy, score="dot", hard=True, return_weights=True
    )
    p = attlas_ref.monotonic_energy(query, key, score="dot", return_probability=True)
    index = attlas_ref.monotonic_hard_alignment(p, return_index=True).index
    for i, t in enumerate(index):
        expected = np.zeros(6)
        if t < 6:
            chunk = slice(max(0, t - 2), t + 1)
            expected[chunk] = np.exp(energy[i, chunk]) / np.exp(energy[i, chunk]).sum()
        assert_equal_up_to_rounding(found.weights[i], expected, **ROUNDINGS)
        assert_equal_up_to_rounding(found.output[i], expected @ value, **ROUNDINGS)


@pytest.mark.parametrize("kind", ["hard", "infinite_lookback", "chunkwise"])
def test_streaming_heads_are_the_loop(kind: str) -> None:
    heads, m, n = 3, 5, 6
    query, key, value = (RNG.normal(size=(heads, size, 2)) for size in (m, n, n))
    soft_query, soft_key = RNG.normal(size=(heads, m, 2)), RNG.normal(size=(heads, n, 2))
    run = attlas_ref.monotonic_multihead_attention(
        query, key, value, soft_query=soft_query, soft_key=soft_key, kind=kind, chunk_size=2, scale=1.0,
        energy_bias=-0.5, streaming=True, return_weights=True, return_alignment=True, return_reads=True,
    )  # fmt: skip
    assert run._fields == ("output", "weights", "alignment", "reads")
    stops = np.zeros((heads, m), dtype=int)
    for h in range(heads):
        at = 0
        for i in range(m):
            while at < n - 1 and query[h, i] @ key[h, at] - 0.5 < 0:
                at += 1
            stops[h, i] = at
            first = {"hard": at, "infinite_lookback": 0, "chunkwise": max(0, at - 1)}[kind]
            u = np.exp([soft_query[h, i] @ soft_key[h, j] for j in range(first, at + 1)])
            assert_equal_up_to_rounding(run.weights[h, i, first : at + 1], u / u.sum(), **ROUNDINGS)
            assert_equal_up_to_rounding(run.output[h, i], u / u.sum() @ value[h, first : at + 1], **ROUNDINGS)
            assert run.alignment[h, i].tolist() == np.eye(n)[at].tolist()
    assert run.reads.tolist() == (stops.max(axis=0) + 1).tolist()


def test_extras_come_in_the_order_of_the_signature() -> None:
    arrays = (RNG.normal(size=(2, 3, 2)), RNG.normal(size=(2, 4, 2)), RNG.normal(size=(2, 4, 1)))
    every = attlas_ref.monotonic_multihead_attention(
        *arrays, return_weights=True, return_alignment=True, return_probability=True, return_reads=True
    )
    assert every._fields == ("output", "weights", "alignment", "probability", "reads")
    np.testing.assert_array_equal(every.weights, every.alignment)
    assert [part.shape for part in every] == [(2, 3, 1), (2, 3, 4), (2, 3, 4), (2, 3, 4), (3,)]
    assert every.reads.dtype == np.int64
    output, reads = attlas_ref.monotonic_multihead_attention(*arrays, return_reads=True)
    np.testing.assert_array_equal(output, every.output)
    np.testing.assert_array_equal(reads, every.reads)


BAD = [
    ("monotonic_multihead_attention", {"kind": "infinite_lookback"}, "soft_query"),
    ("monotonic_multihead_attention", {"kind": "chunkwise", "soft": True}, "chunk_size"),
    ("mocha_attention", {"chunk_size": 2, "score": "scaled_dot", "w_key": np.ones((3, 2)), "key": 3}, "energy"),
]


@pytest.mark.parametrize(("name", "options", "argument"), BAD)
def test_what_is_missing_is_named(name: str, options: dict[str, Any], argument: str) -> None:
    options = dict(options)
    if options.pop("soft", False):
        options |= {"soft_query": np.ones((1, 2, 2)), "soft_key": np.ones((1, 2, 2))}
    key = np.ones((1, 2, options.pop("key", 2)))
    with pytest.raises(ValueError, match=rf"^{name}: .*{argument}"):
        getattr(attlas_ref, name)(np.ones((1, 2, 2)), key, np.ones((1, 2, 2)), **options)
