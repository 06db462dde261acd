"""What associative memories do on the CPU engine beyond what drawn calls reach: many blocks, bits, long addresses."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from peak_memory import peak_of

import attlas
from attlas import threads
from attlas.numba_cpu import band, operands
from attlas.numba_cpu.memory import caps, dense_memory, hamming
from attlas_ref import sdm_cap_intersection
from attlas_ref.testing import assert_within_budget, high_and_lows

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
alphas = pytest.mark.parametrize("alpha", [1.0, 1.3, 1.5, 2.0, 2.6])


@pytest.fixture
def num_threads() -> Iterator[Callable[[int | None], None]]:
    yield threads.set_num_threads
    threads.set_num_threads(None)


def normal(seed: int, *shapes: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def bits(seed: int, *shapes: tuple[int, ...], low: int = 0, dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [np.where(rng.random(shape) < 0.5, low, 1).astype(dtype) for shape in shapes]


def in_budget(name: str, *arrays: Any, **options: Any) -> Any:
    high, lows = high_and_lows(name, arrays, options)
    result = getattr(attlas, name)(*arrays, **options)
    assert_within_budget(result, high, lows, what=name)
    return result


# Hopfield retrieval


def visibility(m: int, n: int, dtype: Any) -> dict[str, Any]:
    rng = np.random.default_rng(m + n)
    mask = rng.random((m, n)) < 0.7
    mask[:, : n // 2] &= rng.random((m, 1)) < 0.1  # whole blocks that are hidden
    return {"mask": mask, "bias": rng.normal(size=(m, n)).astype(dtype), "causal": True}


@dtypes
@alphas
@pytest.mark.parametrize("tol", [0.0, 0.05])
@pytest.mark.parametrize(("m", "n"), [(1, 129), (97, 257)])
def test_retrieval_around_the_edges_of_blocks(m: int, n: int, tol: float, alpha: float, dtype: Any) -> None:
    arrays = normal(m * n, (m, 8), (n, 8), (n, 5), dtype=dtype)
    options = {"steps": 3, "alpha": alpha, "tol": tol, "return_weights": True, "return_steps": True}
    in_budget("hopfield_attention", *arrays, **options)
    in_budget("hopfield_attention", *arrays, **options, **visibility(m, n, dtype))


@dtypes
@alphas
def test_gradients_around_the_edges_of_blocks(alpha: float, dtype: Any) -> None:
    m, n = 97, 257
    arrays = normal(3, (m, 8), (n, 8), (n, 5), (m, 5), dtype=dtype)
    for steps in (1, 3):
        in_budget("hopfield_attention_vjp", *arrays, steps=steps, alpha=alpha)
        in_budget("hopfield_attention_vjp", *arrays, steps=steps, alpha=alpha, **visibility(m, n, dtype))


@alphas
def test_a_nan_in_a_query_reaches_only_the_gradients_of_keys_that_it_sees(alpha: float) -> None:
    query, key, value, gradient = normal(4, (97, 8), (257, 8), (257, 5), (97, 5))
    mask = np.random.default_rng(0).random((97, 257)) < 0.7
    query[5, 2] = np.nan
    grads = attlas.hopfield_attention_vjp(query, key, value, gradient, steps=2, alpha=alpha, mask=mask)
    for grad in (grads.grad_key, grads.grad_value):
        np.testing.assert_array_equal(np.isnan(grad).any(axis=-1), mask[5])


@dtypes
@alphas
def test_a_query_that_rests_is_the_same_alone_and_among_others(alpha: float, dtype: Any, monkeypatch: Any) -> None:
    """Some queries start on a pattern, some far from all: they rest after unlike numbers of steps."""
    (key,) = normal(0, (40, 6), dtype=dtype)
    query = np.concatenate([key, np.linspace(0, 1, 40, dtype=dtype)[:, None] * key])
    options = {"beta": 2.0, "steps": 30, "tol": 1e-3, "alpha": alpha, "return_weights": True, "return_steps": True}
    whole = attlas.hopfield_attention(query, key, **options)
    assert len(np.unique(whole.steps)) > (1 if alpha > 2.5 else 2)
    assert whole.steps.max() < 30
    for row in range(0, 80, 7):
        for one, among in zip(attlas.hopfield_attention(query[row : row + 1], key, **options), whole, strict=True):
            np.testing.assert_array_equal(one[0], among[row])
    monkeypatch.setattr(band, "BAND", 1)
    for one, other in zip(attlas.hopfield_attention(query, key, **options), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_mask_may_have_more_leading_axes_than_query_and_key() -> None:
    query, key, value = normal(0, (5, 4), (7, 4), (2, 7, 3))
    mask = np.random.default_rng(0).random((2, 5, 7)) < 0.6
    for alpha in (1.0, 2.0):
        for tol in (0.0, 0.1):
            options = {"mask": mask, "steps": 3, "alpha": alpha, "tol": tol}
            in_budget("hopfield_attention", query, key, value, **options, return_weights=True, return_steps=True)


# Binary networks


@dtypes
@pytest.mark.parametrize(("m", "n", "d"), [(97, 20, 130), (33, 200, 40)])
@pytest.mark.parametrize("update", ["sync", "async"])
@pytest.mark.parametrize("zero_diagonal", [True, False])
def test_fields_of_bits_are_exact(m: int, n: int, d: int, update: str, zero_diagonal: bool, dtype: Any) -> None:
    state, patterns = bits(0, (2, m, d), (n, d), low=-1, dtype=dtype)
    order = np.random.default_rng(0).permutation(d)
    result = attlas.classical_hopfield(
        state, patterns, steps=2, update=update, order=order, zero_diagonal=zero_diagonal, return_field=True
    )
    hebb = (patterns.T @ patterns).astype(np.int64)
    if zero_diagonal:
        np.fill_diagonal(hebb, 0)
    current, field = state.astype(np.int64), np.zeros(state.shape, np.int64)
    groups = [np.arange(d)] if update == "sync" else order[:, None]
    for _ in range(2):
        for group in groups:
            field[..., group] = current @ hebb[:, group]
            current[..., group] = np.where(field == 0, current, np.sign(field))[..., group]
    np.testing.assert_array_equal(result.field, field)
    np.testing.assert_array_equal(result.output, current)


@dtypes
@pytest.mark.parametrize("update", ["sync", "async"])
@pytest.mark.parametrize("energy", [{"degree": p} for p in (1, 2, 3, 5)] + [{"energy": "exp"}], ids=str)
@pytest.mark.parametrize("rectified", [False, True])
def test_energies_of_bits_around_the_edges_of_blocks(energy: Any, rectified: bool, update: str, dtype: Any) -> None:
    state, patterns = bits(1, (97, 11), (137, 11), low=-1, dtype=dtype)
    for steps in (0, 1):
        in_budget(
            "dense_associative_memory",
            state,
            patterns,
            steps=steps,
            update=update,
            rectified=rectified,
            return_field=True,
            **energy,
        )


def test_polynomial_fields_of_bits_are_exact() -> None:
    state, patterns = bits(2, (97, 50), (137, 50), low=-1, dtype=np.float64)
    for degree, rectified in ((3, False), (4, True), (7, False)):
        field = attlas.dense_associative_memory(
            state, patterns, degree=degree, rectified=rectified, return_field=True
        ).field
        whole, x = state.astype(np.int64).astype(object), patterns.astype(np.int64).astype(object)
        overlap = (whole @ x.T)[:3, :, None]
        pair = overlap + x * (1 - whole[:3, None]), overlap - x * (1 + whole[:3, None])
        up, down = (((np.maximum(o, 0) if rectified else o) ** degree).sum(axis=1) for o in pair)
        np.testing.assert_array_equal(field[:3].astype(object), up - down)


@dtypes
@pytest.mark.parametrize("energy", ["polynomial", "exp"])
def test_bits_are_treated_like_any_other_numbers(energy: str, dtype: Any, monkeypatch: Any) -> None:
    """The products for bits and the loop over numbers are two ways to one field."""
    state, patterns = bits(4, (40, 30), (20, 30), low=-1, dtype=dtype)
    options = {"energy": energy, "degree": 3, "return_field": True}
    by_products = attlas.dense_associative_memory(state, patterns, **options)
    monkeypatch.setattr(dense_memory, "_bits", lambda array: False)
    by_loop = attlas.dense_associative_memory(state, patterns, **options)
    np.testing.assert_array_equal(by_products.output, by_loop.output)
    high, lows = high_and_lows("dense_associative_memory", (state, patterns), options)
    assert_within_budget(by_loop, high, lows)


@dtypes
def test_an_infinite_pattern_does_not_spoil_later_bits(dtype: Any) -> None:
    """A flip of its bit takes its overlap from one infinity to the other."""
    state, patterns = bits(5, (20, 6), (9, 6), low=-1, dtype=dtype)
    patterns[3, 2] = np.inf
    for options in ({"degree": 3, "rectified": True}, {"energy": "exp"}):
        in_budget(
            "dense_associative_memory", state, patterns, update="async", return_field=True, order=[2, 0, 1, 5, 4, 3],
            **options,
        )  # fmt: skip


# Sparse distributed memory


@dtypes
@pytest.mark.parametrize("width", [1, 31, 32, 33, 63, 64, 65, 200, 1000])
def test_packed_distances_are_exact(width: int, dtype: Any) -> None:
    query, key = bits(width, (3, 1, 7, width), (130, width), dtype=dtype)
    query = np.broadcast_to(query, (3, 4, 7, width))
    packed = hamming.pack_bits(query)
    assert packed.shape == (3, 4, 7, -(-width // (8 * dtype.itemsize)))
    assert packed.strides[1] == 0
    distance = (query[..., :, None, :] != key).sum(axis=-1)
    # The counters of neurons say which patterns are near them.
    for radius in {0, 1, int(np.median(distance)), width - 1, width}:
        near = attlas.sdm_neuron_attention(
            query, query, np.eye(7, dtype=dtype), key, radius=radius, return_counters=True
        ).counters
        np.testing.assert_array_equal(near.mT, distance <= radius)


@dtypes
def test_addresses_of_a_thousand_bits_neither_overflow_nor_vanish(dtype: Any) -> None:
    query, key, value = *bits(0, (70, 1000), (300, 1000), dtype=dtype), normal(0, (300, 3), dtype=dtype)[0]
    key[5] = 1 - query[0]  # as far as can be
    in_budget("sdm_attention", query, key, value, radius=451, return_weights=True)
    far = attlas.sdm_attention(query[:1], key[5:6], value[5:6], radius=500)
    np.testing.assert_array_equal(far, value[5:6])


@dtypes
def test_closer_patterns_in_later_blocks_rescale_what_came_before(dtype: Any) -> None:
    """From block to block the pattern is one bit closer, the last is the address itself."""
    blocks, width = 5, 40
    query = np.zeros((17, width), dtype=dtype)
    key = np.zeros((blocks * operands.KEYS_PER_BLOCK, width), dtype=dtype)
    for block in range(blocks):
        key[block * operands.KEYS_PER_BLOCK : (block + 1) * operands.KEYS_PER_BLOCK, : 2 * (blocks - 1 - block)] = 1
    (value,) = normal(0, (len(key), 4), dtype=dtype)
    in_budget("sdm_attention", query, key, value, radius=6, return_weights=True)


@dtypes
@pytest.mark.parametrize("apart", [1, 60, 700, 1400])
def test_patterns_whose_shares_no_float_holds_beside_each_other(apart: int, dtype: Any) -> None:
    """Later blocks are closer, so much that what came before them counts less, hardly, or not at all."""
    width, radius, blocks = 3000, 1450, 3
    distance = np.repeat(np.arange(blocks)[::-1] * apart, operands.KEYS_PER_BLOCK)
    distance += np.arange(len(distance)) % 7
    key = (np.arange(width) < distance[:, None]).astype(dtype)
    (value,) = normal(0, (len(key), 2), dtype=dtype)
    query = np.zeros((2, width), dtype=dtype)
    query[1, -20:] = 1
    in_budget("sdm_attention", query, key, value, radius=radius, return_weights=True)


@dtypes
def test_a_value_out_of_reach_cannot_be_felt(dtype: Any) -> None:
    query, key, value = *bits(0, (20, 64), (300, 64), dtype=dtype), normal(0, (300, 3), dtype=dtype)[0]
    distance = (query[:, None] != key).sum(axis=-1)
    radius = 14
    in_reach = distance <= 2 * radius
    assert 0 < in_reach.mean() < 1
    clean = attlas.sdm_attention(query, key, value, radius=radius)
    for j in (0, 140, 299):
        fouled = value.copy()
        fouled[j, 1] = np.nan
        output = attlas.sdm_attention(query, key, fouled, radius=radius)
        np.testing.assert_array_equal(np.isnan(output[:, 1]), in_reach[:, j])
        np.testing.assert_array_equal(output[:, [0, 2]], clean[:, [0, 2]])


@dtypes
@pytest.mark.parametrize("e", [3, 300])
@pytest.mark.parametrize("radius", [20, 26, 32])
def test_counters_of_whole_numbers_are_exact(radius: int, e: int, dtype: Any) -> None:
    """Few or many neurons near a pattern, narrow or wide values: rows are added, or blocks multiplied."""
    query, key, neurons = bits(0, (2, 30, 64), (2, 200, 64), (300, 64), dtype=dtype)
    value = np.random.default_rng(1).integers(-9, 10, (2, 200, e)).astype(dtype)
    result = attlas.sdm_neuron_attention(
        query, key, value, neurons, radius=radius, normalize=False, return_counters=True
    )
    writes = ((neurons[:, None] != key[:, None]).sum(axis=-1) <= radius).astype(np.int64)
    reads = ((query[:, :, None] != neurons).sum(axis=-1) <= radius).astype(np.int64)
    counters = writes @ value.astype(np.int64)
    np.testing.assert_array_equal(result.counters, counters)
    np.testing.assert_array_equal(result.output, reads @ counters)
    in_budget("sdm_neuron_attention", query, key, value, neurons, radius=radius)


def test_a_nan_is_written_to_near_neurons_only() -> None:
    query, key, neurons = bits(0, (30, 32), (200, 32), (300, 32))
    writes = (neurons[:, None] != key).sum(axis=-1) <= 10
    reads = (query[:, None] != neurons).sum(axis=-1) <= 10
    for e in (2, 200):
        (value,) = normal(1, (200, e))
        value[150, 1] = np.nan
        output, counters = attlas.sdm_neuron_attention(query, key, value, neurons, radius=10, return_counters=True)
        np.testing.assert_array_equal(np.isnan(counters[:, 1]), writes[:, 150])
        np.testing.assert_array_equal(np.isnan(output[:, 1]), (reads & writes[:, 150]).any(axis=-1))
        assert not np.isnan(output[:, 0]).any()


# Caps of a sphere


@pytest.mark.parametrize("dim", [2, 3, 7, 64, 1000])
@pytest.mark.parametrize("cap_cosine", [0.0, 1e-6, 0.1, 0.5, 0.9, 0.9999])
def test_the_table_of_caps_keeps_its_stated_error(dim: int, cap_cosine: float) -> None:
    """Halfway between the nodes, the table differs from the integral by no more than rounding."""
    theta = np.arccos(cap_cosine)
    place = np.linspace(-0.97, 0.97, 7)
    powers = place[:, None] ** np.arange(caps.DEGREE + 1)
    found = powers @ caps.log_cap_table(dim, cap_cosine).T  # (places, pieces)
    octave, piece = np.divmod(np.arange(caps.OCTAVES * caps.PIECES), caps.PIECES)
    length = theta * 2.0 ** (octave - caps.OCTAVES) * (1 + (piece + (place[:, None] + 1) / 2) / caps.PIECES)
    power = (dim - 2) / 2
    exact = caps._log_intersection(length, theta, cap_cosine, power)
    exact = exact - caps._log_intersection(np.array([theta]), theta, cap_cosine, power)
    unit = np.finfo(np.float64).eps
    assert (abs(found - exact) <= 16 * unit * (1 + power + abs(exact))).all()


@pytest.mark.parametrize("dim", [2, 5, 64])
def test_looked_up_caps_are_those_of_the_integral(dim: int) -> None:
    angle = np.linspace(0.05, 3.1, 40)
    key = np.zeros((40, dim))
    key[:, 0], key[:, 1] = np.cos(angle), np.sin(angle)
    query = np.zeros((1, dim))
    query[0, 0] = 3.0
    for cap_cosine in (0.0, 0.3, 0.8):
        weights = attlas.sdm_continuous_attention(query, key, key, cap_cosine=cap_cosine, return_weights=True).weights
        area = sdm_cap_intersection(key[:, 0], dim=dim, cap_cosine=cap_cosine)
        high = (area / area.sum())[None]
        # The angle of a cosine is known to a unit of the cosine over its sine.
        assert_within_budget(weights, high, [high * (1 + s * dim * 4 * np.finfo(float).eps) for s in (-1, 1)])


# Threads and memory


def calls(n: int, d: int) -> list[Callable[[], Any]]:
    arrays = normal(0, *[(2, n, d)] * 4)
    on, off = (np.sign(array) for array in arrays[:2])
    zeros_and_ones = [np.repeat(array > 0, 8, axis=-1).astype(np.float32) for array in arrays[:2]]
    neurons = zeros_and_ones[0][0, : max(1, n // 8)]
    wide = normal(1, *[(2, n, max(2, d))] * 3)
    return [
        lambda: attlas.hopfield_attention(*arrays[:3], steps=3, tol=1e-4),
        lambda: attlas.hopfield_attention(*arrays[:3], steps=2, alpha=1.5),
        lambda: attlas.hopfield_attention_vjp(*arrays, steps=2).grad_key,
        lambda: attlas.hopfield_attention_vjp(*arrays, steps=2, alpha=2.0).grad_key,
        lambda: attlas.hopfield_energy(*arrays[:2]),
        lambda: attlas.hopfield_energy(*arrays[:2], alpha=2.0),
        lambda: attlas.classical_hopfield(on, off),
        lambda: attlas.classical_hopfield(*arrays[:2], update="async"),
        lambda: attlas.dense_associative_memory(on, off, degree=3),
        lambda: attlas.dense_associative_memory(*arrays[:2], energy="exp"),
        lambda: attlas.sdm_attention(*zeros_and_ones, arrays[2], radius=2),
        lambda: attlas.sdm_neuron_attention(*zeros_and_ones, arrays[2], neurons, radius=2),
        lambda: attlas.sdm_continuous_attention(*wide, cap_cosine=0.3),
    ]


def test_the_number_of_threads_changes_no_bit(num_threads: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(operands, "WORTH_A_THREAD", 0)
    results = []
    for count in (1, 2, 5):
        num_threads(count)
        results.append([call() for call in calls(300, 4)])
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_memory_does_not_grow_with_the_square_of_the_length(num_threads: Any) -> None:
    num_threads(2)
    n = 3000
    for call in calls(n, 1):
        assert peak_of(call) < n * n * 4 / 2  # half the scores of one head
