"""The kernels of the engine `numba-cuda` in Numba's simulator: what is particular to blocks, tiles and launches.

That the results are right for every call is tested for all engines at once. Here the tiles are smaller than the
arrays in every way they can be, and launches are split, padded and entered by several threads.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from views_on_a_gpu import assert_views_are_read

from attlas.dispatch import call_on
from attlas.engines import TABLE, simulated
from attlas_ref.records import all_records, find
from attlas_ref.testing.budget import assert_within_budget, high_and_lows

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from attlas.numba_cuda import operands, target
from attlas.numba_cuda.blocks import Block
from attlas.numba_cuda.pairs import build_gradient, build_pairs
from attlas.numba_cuda.tile import build_forward, build_statistics

DENSE = {"query", "key", "value", "grad_output", "mask", "bias", "causal"}
KERNELS = [
    record.name
    for record in all_records()
    if record.kind == "K" and "numba-cuda" in record.engines
    if {*record.takes, "mask", "bias", "causal"} <= DENSE & {*record.takes, *record.options}
]
"""Those that `heads` and `options_of` know how to call."""
REQUIRED = {"cap": 2.0, "top_k": 3}
BUILDERS = (build_forward, build_statistics, build_pairs, build_gradient)
BLOCKS = [
    Block(across=1, down=1, rows=2, columns=3, outputs=3, depth=1),
    Block(across=2, down=2, rows=2, columns=1, outputs=1, depth=2),
    Block(across=3, down=1, rows=3, columns=1, outputs=2, depth=5),
    Block(across=1, down=3, rows=1, columns=4, outputs=3, depth=3),
]


def computed(name, *arrays, **options):
    return call_on(TABLE["numba-cuda"], name, *arrays, **options)


def heads(name, m, n, d=3, e=4, seed=0):
    """Arrays of a formulation: two heads that share their keys, three batch members in the values alone."""
    rng = np.random.default_rng(seed)
    shapes = {"query": (2, m, d), "key": (n, d), "value": (3, 1, n, e), "grad_output": (3, 2, m, e)}
    return [rng.normal(size=shapes[argument]).astype(np.float32) for argument in find(name).takes]


def options_of(name, m, n, seed=0):
    rng = np.random.default_rng(seed)
    options = {"mask": rng.random((2, m, n)) < 0.7, "bias": rng.normal(size=(m, 1)), "causal": True}
    options |= {flag: True for flag in ("return_weights", "return_grad_bias") if flag in find(name).options}
    if name == "gumbel_softmax_attention":
        options["uniform"] = (rng.integers(1024, size=(m, n)) + 0.5) / 1024
    return options | {option: value for option, value in REQUIRED.items() if option in find(name).options}


def assert_right(name, arrays, options):
    high, lows = high_and_lows(name, arrays, options)
    assert_within_budget(computed(name, *arrays, **options), high, lows, name)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: f"{b.across}x{b.down}threads-{b.own}x{b.other}tile")
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_tiles_that_do_not_fit_give_what_the_reference_gives(name, block, beyond, monkeypatch):
    monkeypatch.setattr(operands, "default_block", lambda dtype: block)
    m, n = max(1, 2 * block.own + beyond), max(1, 2 * block.other - beyond)
    assert_right(name, heads(name, m, n), options_of(name, m, n))


@pytest.mark.parametrize("shape", [(), (7,), (1, 7), (5, 1), (5, 7), (2, 1, 1), (3, 1, 1, 7), (3, 2, 5, 7), None])
def test_gradient_of_a_bias_is_summed_over_what_it_was_broadcast_along(shape):
    bias = None if shape is None else np.random.default_rng(1).normal(size=shape)
    options = {"bias": bias, "causal": True, "return_grad_bias": True}
    assert_right("softmax_attention_vjp", heads("softmax_attention_vjp", 5, 7), options)


@pytest.mark.parametrize(("d", "e"), [(1, 0), (1, 1), (4, 5), (9, 8), (13, 17)])
def test_widths_have_no_limit_and_need_not_be_round(d, e):
    for name in ("softmax_attention", "softmax_attention_vjp"):
        assert_right(name, heads(name, 3, 5, d, e), options_of(name, 3, 5))


def test_maximum_that_grows_from_tile_to_tile_rescales_what_was_summed(monkeypatch):
    monkeypatch.setattr(operands, "default_block", lambda dtype: BLOCKS[1])
    query, key, value = heads("softmax_attention", 3, 11)
    key[:] = np.linspace(-60, 60, 11)[:, None]
    for sign in (1, -1):
        arrays = [np.abs(query), sign * key, value]
        for name in ("softmax_attention", "attention_energy", "attention_partial"):
            assert_right(name, arrays[: len(find(name).takes)], {})


@pytest.mark.parametrize("name", [name for name in KERNELS if name.endswith("attention")])
@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_a_hidden_nan_changes_no_bit(name, strange):
    (query, key, value), options = heads(name, 6, 7), options_of(name, 6, 7)
    options["mask"][..., 2] = False
    clean = computed(name, query, key, value, **options)
    key[2], value[..., 2, :] = strange, strange
    for one, other in zip(computed(name, query, key, value, **options), clean, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", KERNELS)
def test_long_list_of_blocks_is_launched_in_pieces(name, monkeypatch):
    monkeypatch.setattr(target, "LARGEST_GRID", 4)
    assert_right(name, heads(name, 6, 7), options_of(name, 6, 7))


@pytest.mark.parametrize("name", KERNELS)
def test_idle_blocks_of_a_padded_grid_write_nothing(name, monkeypatch):
    arrays, options = heads(name, 2, 3), options_of(name, 2, 3)
    plain = computed(name, *arrays, **options)
    monkeypatch.setattr(target, "QUIET_GRID", 40)
    padded = computed(name, *arrays, **options)
    for a, b in zip(plain, padded, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("huge", "enough"), [(10**30, 99), (-(10**30), -99)])
def test_offsets_beyond_any_machine_integer(huge, enough):
    arrays = heads("attention_partial", 3, 5)
    far = computed("attention_partial", *arrays, query_offset=huge, causal=True)
    near = computed("attention_partial", *arrays, query_offset=enough, causal=True)
    for a, b in zip(far, near, strict=True):
        np.testing.assert_array_equal(a, b)


def test_strides_that_are_not_whole_elements():
    packed = np.zeros((5, 4), dtype=[("tag", np.int8), ("x", np.float32)])
    packed["x"] = np.random.default_rng(0).normal(size=(5, 4))
    assert packed["x"].strides[-1] % 4
    assert_right("softmax_attention", [packed["x"]] * 3, {})


def test_addresses_of_arrays_on_a_gpu(monkeypatch):
    rng = np.random.default_rng(0)
    query = rng.normal(size=(2, 5, 3))
    key = rng.normal(size=(3, 7)).T[::-1]
    value = rng.normal(size=(14, 8))[1::2, ::-2]
    mask = np.broadcast_to(rng.random(7) < 0.7, (5, 7))
    options = {"mask": mask, "causal": True, "return_weights": True}
    expected = computed("softmax_attention", query, key, value, **options)
    assert_views_are_read("softmax_attention", (query, key, value), options, expected, monkeypatch)


def test_no_kernel_is_built_again_for_another_shape_stride_or_option():
    arrays = heads("softmax_attention_vjp", 3, 4)
    computed("softmax_attention_vjp", *arrays, return_grad_bias=True)
    computed("softmax_attention", *arrays[:3], return_weights=True)
    before = [builder.cache_info().misses for builder in BUILDERS]
    query, key, value, grad = (np.ascontiguousarray(array)[..., ::-1] for array in heads("softmax_attention_vjp", 5, 6))
    options = {"mask": np.ones(6, bool), "bias": np.zeros((5, 1), np.float16), "causal": True, "scale": 0.5}
    computed("softmax_attention_vjp", query, key, value, grad, return_grad_bias=True, **options)
    computed("softmax_attention", query[0], key, value, temperature=2.0, return_weights=True, **options)
    assert [builder.cache_info().misses for builder in BUILDERS] == before


def test_calls_from_several_threads_take_turns():
    problems = [heads("softmax_attention", 3, 5, seed=seed) for seed in range(6)]
    alone = [computed("softmax_attention", *arrays) for arrays in problems]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda arrays: computed("softmax_attention", *arrays), problems))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)
