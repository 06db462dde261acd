"""Expected and hard monotonic alignments: against all paths, exact fractions, plain loops and PyTorch."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from monotonic_paths import alignment_of_all_paths, recursion_in_fractions, relative_errors
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(71)
NEARLY = [0.0, 1.0, 0.5, 2.0**-60, 1 - 2.0**-53, 1 - 2.0**-30, 2.0**-190, 0.3, 0.9]
"""Probabilities arbitrarily near 0 and 1, and the ends."""
SIZES = [(1, 1), (1, 4), (2, 3), (3, 3), (4, 4), (4, 2), (3, 1)]
METHODS = ("recursive", "parallel")
DRAWS = {"operations": 200}


def chances(m: int, n: int) -> np.ndarray:
    return np.where(RNG.random((m, n)) < 0.5, RNG.choice(NEARLY, size=(m, n)), RNG.random((m, n)))


def masses(n: int) -> np.ndarray:
    return np.rint(2**20 * RNG.dirichlet(np.ones(n)) * 0.9) / 2**20


def units(m: int, n: int, method: str) -> np.ndarray:
    """The bound of the docstring, in units of rounding: per key passed 3, per row 2, and 2 log2 n with the scan."""
    i, j = np.arange(m)[:, None], np.arange(n)
    scan = 2 * math.ceil(math.log2(max(n, 1))) if method == "parallel" else 0
    return 3 * j + (2 + scan) * (i + 1)


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("method", METHODS)
def test_the_alignment_is_that_of_all_paths(m: int, n: int, method: str) -> None:
    for case in range(12):
        p = chances(m, n)
        previous = masses(n) if case % 2 else None
        mask = RNG.random((m, n)) < 0.7 if case % 3 == 0 else None
        exact, _ = alignment_of_all_paths(p, previous, mask)
        actual = attlas_ref.monotonic_alignment(p, previous=previous, mask=mask, method=method)
        assert (relative_errors(actual, exact) <= units(m, n, method) + 1).all()


@pytest.mark.parametrize(("m", "n"), SIZES)
def test_what_is_lost_ran_off_the_end(m: int, n: int) -> None:
    for _ in range(6):
        p, previous = chances(m, n), masses(n)
        exact, off = alignment_of_all_paths(p, previous)
        for row, lost in zip(exact, off, strict=True):
            assert sum(row) + lost == sum(map(float, previous))
        actual = attlas_ref.monotonic_alignment(p, previous=previous)
        before = np.concatenate([previous[None], actual])[:-1]
        # The pointer arrives at the last key, and does not stop there.
        arriving = before[:, 0]
        for j in range(1, n):
            arriving = (1 - p[:, j - 1]) * arriving + before[:, j]
        running_off = (1 - p[:, -1]) * arriving
        assert_equal_up_to_rounding(actual.sum(axis=-1) + running_off, before.sum(axis=-1), **DRAWS)


@pytest.mark.parametrize("method", METHODS)
def test_both_methods_keep_the_digits_of_small_masses(method: str) -> None:
    # Where the scan or the loop lost a small mass its relative error would be 1, 2^53 units.
    m, n = 5, 40
    for near in (0.95, 1 - 2.0**-20, 2.0**-20, 0.5):
        p = np.clip(near + 1e-3 * RNG.normal(size=(m, n)) * min(near, 1 - near), 0, 1)
        exact = recursion_in_fractions(p, masses := np.full(n, 1 / 64))
        actual = attlas_ref.monotonic_alignment(p, previous=masses, method=method)
        assert (relative_errors(actual, exact) <= units(m, n, method) + 1).all()


def test_clamped_products_lose_mass_and_the_recursion_does_not() -> None:
    p, previous = np.full((1, 40), 0.95), np.full(40, 1 / 40)
    kept = {eps: attlas_ref.monotonic_alignment(p, previous=previous, method="parallel", eps=eps).sum() for eps in
            (0.0, 1e-10, 1e-6)}  # fmt: skip
    assert kept[1e-6] < kept[1e-10] < 0.3
    # One of forty keys lies at the end, from where 1/20 runs off; from the one before 1/400, and so on.
    exact = sum(1 - 0.05 ** (40 - j) for j in range(40)) / 40
    assert_equal_up_to_rounding(kept[0.0], exact, operations=200)
    assert_equal_up_to_rounding(attlas_ref.monotonic_alignment(p, previous=previous).sum(), exact, operations=200)


def test_the_clamped_form_is_that_of_public_code() -> None:
    p, previous, eps = RNG.random((3, 7)), masses(7), 1e-2
    alpha, rows = previous, []
    for row in p:
        product = np.array([np.prod(1 - row[:j]) for j in range(7)])
        alpha = row * product * np.cumsum(alpha / np.clip(product, eps, 1))
        rows.append(alpha)
    actual = attlas_ref.monotonic_alignment(p, previous=previous, method="parallel", eps=eps)
    assert_equal_up_to_rounding(actual, np.array(rows), operations=200, magnitude=1 / eps)


@pytest.mark.parametrize("method", METHODS)
def test_long_alignments_keep_their_mass(method: str) -> None:
    m, n = (3, 10000) if method == "recursive" else (40, 10000)
    p = 1 / (1 + np.exp(-RNG.normal(scale=6, size=(m, n)) + 8))
    alignment = attlas_ref.monotonic_alignment(np.concatenate([p, np.ones((m, 1))], axis=1), method=method)
    assert np.isfinite(alignment).all()
    assert (alignment >= 0).all()
    assert_equal_up_to_rounding(alignment.sum(axis=-1), np.ones(m), operations=4 * (m + n))


def hard_loop(p: Any, mask: Any, start: int, stay: bool, stops: Any) -> list[int]:
    """The process of the definition, key by key."""
    n, at, found = p.shape[1], start, []
    for i in range(p.shape[0]):
        j = at
        while j < n and not (mask[i, j] and stops(i, j)):
            j += 1
        if j == n and stay and mask[i].any():
            j = max(np.flatnonzero(mask[i]))
        at = j
        found.append(int(at))
    return found


@pytest.mark.parametrize("stay", [False, True])
def test_hard_alignments_are_the_loop(stay: bool) -> None:
    for case in range(60):
        m, n = RNG.integers(1, 7, size=2)
        p, mask = RNG.random((m, n)), RNG.random((m, n)) < 0.7
        previous = None if case % 3 == 0 else masses(n) if case % 3 == 1 else np.zeros(n)
        start = 0 if previous is None else int(previous.argmax()) if previous.any() else n
        options = {"mask": mask, "previous": previous, "stay_on_last": stay, "return_index": True}
        hard = attlas_ref.monotonic_hard_alignment(p, threshold=0.6, **options)
        expected = hard_loop(p, mask, start, stay, lambda i, j: p[i, j] >= 0.6)  # noqa: B023
        assert hard.index.tolist() == expected
        np.testing.assert_array_equal(hard.alignment, np.arange(n) == np.array(expected)[:, None])
        draws = RNG.random((m, n))
        drawn = attlas_ref.sampled_monotonic_alignment(p, uniform=draws, **options)
        assert drawn.index.tolist() == hard_loop(p, mask, start, stay, lambda i, j: draws[i, j] < p[i, j])  # noqa: B023


def test_a_probability_at_the_threshold_stops() -> None:
    assert attlas_ref.monotonic_hard_alignment(np.array([[0.25, 0.5, 1.0]]), return_index=True).index.tolist() == [1]
    draws = np.array([[0.25, 0.0, 0.0]])
    stops = attlas_ref.sampled_monotonic_alignment(np.array([[0.25, 0.0, 1.0]]), uniform=draws, return_index=True)
    assert stops.index.tolist() == [2]


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (2, 3), (3, 2)])
def test_the_mean_over_all_draws_is_the_expectation(shape: tuple[int, int]) -> None:
    # With quarters as probabilities, four draws per pair stand for all: every number here is exact.
    p = RNG.integers(0, 5, size=shape) / 4
    quarters = itertools.product((0.125, 0.375, 0.625, 0.875), repeat=p.size)
    draws = np.array(list(quarters)).reshape(-1, *shape)
    sampled = attlas_ref.sampled_monotonic_alignment(np.broadcast_to(p, draws.shape), uniform=draws)
    np.testing.assert_array_equal(sampled.mean(axis=0), attlas_ref.monotonic_alignment(p))


def test_energies_are_scalar_loops() -> None:
    m, n, d, c, a = 3, 4, 2, 3, 5
    query, key, noise = RNG.normal(size=(m, d)), RNG.normal(size=(n, c)), RNG.normal(size=(m, n))
    w_query, w_key, b, v = (RNG.normal(size=shape) for shape in ((d, a), (c, a), (a,), (a,)))
    additive, dot, scaled = np.zeros((3, m, n))
    to_query = RNG.normal(size=(c, d))
    for i, j in itertools.product(range(m), range(n)):
        hidden = [math.tanh(query[i] @ w_query[:, x] + key[j] @ w_key[:, x] + b[x]) for x in range(a)]
        additive[i, j] = 1.5 * sum(v[x] * hidden[x] for x in range(a)) / math.sqrt(sum(v * v)) - 0.5 + 2 * noise[i, j]
        dot[i, j] = 1.5 * sum(query[i, y] * (key[j] @ to_query)[y] for y in range(d)) - 0.5
        scaled[i, j] = sum((query[i] @ w_query) * (key[j] @ w_key)) / math.sqrt(a) - 0.5
    common = {"g": 1.5, "r": -0.5}
    energy = attlas_ref.monotonic_energy(
        query, key, w_query=w_query, w_key=w_key, b=b, v=v, noise=noise, noise_scale=2.0, **common
    )
    assert_equal_up_to_rounding(energy, additive, operations=200)
    energy = attlas_ref.monotonic_energy(query, key, score="dot", w_key=to_query, **common)
    assert_equal_up_to_rounding(energy, dot, operations=200)
    energy = attlas_ref.monotonic_energy(query, key, score="scaled_dot", w_query=w_query, w_key=w_key, **common)
    assert_equal_up_to_rounding(energy, scaled, operations=200)
    p = attlas_ref.monotonic_energy(query, key, score="dot", w_key=to_query, return_probability=True, **common)
    assert_equal_up_to_rounding(p, 1 / (1 + np.exp(-dot)), operations=200)


def test_gradients_are_those_of_pytorch(torch: Any) -> None:
    m, n = 4, 5
    p, grad, previous, mask = RNG.random((m, n)), RNG.normal(size=(m, n)), masses(n), RNG.random((m, n)) < 0.8
    chance, start = torch.tensor(p, requires_grad=True), torch.tensor(previous, requires_grad=True)
    seen = torch.where(torch.tensor(mask), chance, 0)
    alpha, loss = start, 0
    for i in range(m):
        row, arriving = [], 0
        for j in range(n):
            arriving = (arriving * (1 - seen[i, j - 1]) if j else 0) + alpha[j]
            row.append(seen[i, j] * arriving)
        alpha = torch.stack(row)
        loss = loss + (alpha * torch.tensor(grad[i])).sum()
    loss.backward()
    found = attlas_ref.monotonic_alignment_vjp(p, grad, previous=previous, mask=mask)
    assert_equal_up_to_rounding(found.grad_p_choose, chance.grad.numpy(), **DRAWS)
    assert_equal_up_to_rounding(found.grad_previous, start.grad.numpy(), **DRAWS)


def test_gradients_of_broadcast_arrays_are_sums() -> None:
    p, grad, previous = RNG.random((1, 3, 4)), RNG.normal(size=(2, 1, 3, 4)), RNG.random((2, 1, 4)) / 4
    found = attlas_ref.monotonic_alignment_vjp(p, grad, previous=previous)
    copies = [attlas_ref.monotonic_alignment_vjp(p[0], grad[b, 0], previous=previous[b, 0]) for b in range(2)]
    assert_equal_up_to_rounding(found.grad_p_choose, sum(c.grad_p_choose for c in copies)[None], **DRAWS)
    assert_equal_up_to_rounding(found.grad_previous, np.stack([c.grad_previous for c in copies])[:, None], **DRAWS)


def test_mass_goes_to_the_last_visible_key() -> None:
    alignment = np.array(
        [[0.5, 0.25, np.nan], [0.5, 0.25, 0.0], [np.nan, 0.1, np.nan], [0.75, 0.75, 0.1], [np.nan] * 3]
    )
    mask = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]], dtype=bool)
    expected = [[0.5, 0.5, 0], [0.5, 0.25, 0.25], [0, 1, 0], [0.75, 0.75, 0], [0, 0, 0]]
    np.testing.assert_array_equal(attlas_ref.mass_preservation(alignment, mask=mask), expected)


def test_a_nan_reaches_the_pointer_from_where_it_stands() -> None:
    query, key, value = RNG.normal(size=(3, 2)), RNG.normal(size=(4, 2)), RNG.normal(size=(4, 2))
    query[1, 0] = np.nan
    for hard in (False, True):
        output = attlas_ref.monotonic_attention(query, key, value, score="dot", hard=hard)
        assert np.isfinite(output[0]).all()
        assert np.isnan(output[1:]).all()


BAD = [
    ("monotonic_alignment", {"p_choose": [[0.5, 1.5]]}, "p_choose"),
    ("monotonic_alignment", {"p_choose": [[np.nan, 0.5]]}, "p_choose"),
    ("monotonic_alignment", {"p_choose": [[-0.1, 0.5]]}, "p_choose"),
    ("monotonic_alignment", {"p_choose": [[0.5, 0.5]], "previous": np.array([0.7, 0.4])}, "previous"),
    ("monotonic_alignment", {"p_choose": [[0.5, 0.5]], "previous": np.array([-0.1, 0.4])}, "previous"),
    ("monotonic_alignment", {"p_choose": [[0.5, 0.5]], "previous": np.array([np.nan, 0.4])}, "previous"),
    ("monotonic_alignment", {"p_choose": [[0.5, 0.5]], "eps": -1.0}, "eps"),
    ("monotonic_alignment", {"p_choose": [[0.5, 0.5]], "method": "fast"}, "method"),
    ("monotonic_hard_alignment", {"p_choose": [[0.5, 0.5]], "threshold": 0.0}, "threshold"),
    ("sampled_monotonic_alignment", {"p_choose": [[0.5, 0.5]], "uniform": np.array([[0.0, 1.0]])}, "uniform"),
    ("monotonic_energy", {"query": [[1.0]], "key": [[1.0]]}, "w_query"),
    ("monotonic_energy", {"query": [[1.0]], "key": [[1.0]], "score": "dot", "v": np.ones(1)}, "v"),
    ("monotonic_energy", {"query": [[1.0]], "key": [[1.0, 2.0]], "score": "scaled_dot"}, "key"),
    ("monotonic_energy", {"query": [[1.0]], "key": [[1.0]], "w_query": np.ones((1, 2)), "w_key": np.ones((1, 2)),
                          "v": np.zeros(2)}, "v"),
    ("monotonic_energy", {"query": [[1.0]], "key": [[1.0]], "score": "dot", "noise_scale": -1.0}, "noise_scale"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "call", "argument"), BAD)
def test_what_is_no_pointer_is_refused(name: str, call: dict[str, Any], argument: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: .*{argument}"):
        getattr(attlas_ref, name)(**call)


def test_what_is_hidden_may_be_anything() -> None:
    p = np.array([[0.5, 7.0, 0.5], [0.25, np.nan, 0.5]])
    mask = np.array([True, False, True])
    clean = attlas_ref.monotonic_alignment(np.where(mask, p, 0), mask=mask)
    np.testing.assert_array_equal(attlas_ref.monotonic_alignment(p, mask=mask), clean)
    found = attlas_ref.monotonic_alignment_vjp(p, np.where(mask, 1.0, np.nan) * np.ones((2, 1)), mask=mask)
    assert np.isfinite(found.grad_p_choose).all()
    assert not found.grad_p_choose[:, 1].any()
    draws = np.where(mask, 0.3, np.nan) * np.ones((2, 1))
    assert np.isfinite(attlas_ref.sampled_monotonic_alignment(p, uniform=draws, mask=mask)).all()
