"""The array programs of the engine `cupy` on NumPy arrays: what is particular to walking over tiles.

That the results are right for every call is tested for all engines at once; here the tiles are made so small that
even small arrays have many of them, with a last one that is partial.
"""

import re
import tracemalloc

import numpy as np
import pytest
from peak_memory import peak_of
from strict_arrays import StrictArray
from tuples_of_keys import (
    check_a_hidden_member_has_no_gradient_and_spoils_none,
    check_a_query_that_one_set_hides_everything_from_gets_zeros,
)

import attlas_ref
from attlas.bench.contestants import each
from attlas.cupy_gpu import dotproduct, tile
from attlas.cupy_gpu.tile import Tiles
from attlas.dispatch import call_on
from attlas.engines import cupy_on_numpy
from attlas_ref.contract import bind
from attlas_ref.records import all_records, find
from attlas_ref.testing import Call, Plan, build
from attlas_ref.testing.budget import assert_within_budget, high_and_lows

KERNELS = [record.name for record in all_records() if record.kind == "K" and "cupy" in record.engines]
HEADS = [
    name
    for name in KERNELS
    if {*find(name).takes} <= {"query", "key", "value", "grad_output"} and "causal" in find(name).options
    if find(name).options.keys() >= {"mask", "bias"}
]
"""Those of queries, keys and values that can share leading axes as they like."""
REQUIRED = {"cap": 2.0, "top_k": 3}
ALSO_ROWS = {
    "sdm_neuron_attention": "r",
    "ffn_memory": "h",
    "show_attend_attention": "TL",
    "skip_chain_crf": "t",
    "visual_sentinel_attention": "Tk",
}
"""Letters that count rows beside which all queries stand, as keys do."""
CUBES = (
    "tensor_attention",
    "tensor_attention_vjp",
    "simplicial_attention",
    "simplicial_attention_vjp",
    "tri_directional_attention",
)
"""Those of pairs of keys, whose pairs with queries are too many to have many of each."""
PLANS = [name for name in KERNELS if find(name).signature.endswith("->(m,n)")]
"""Those whose result has a number for each pair."""
OF_PAIRS = [name for name in KERNELS if {"n,n", "m,n"} & {*re.findall(r"\((\w,\w)\)", find(name).signature)}]
"""Those that are given matrices of pairs, or whose result is one."""
FACTORS = {
    "softmax_attention_vjp": 3,
    "fastmax_attention_vjp": 3,
    "hopfield_attention_vjp": 3,
    "tensor_attention_vjp": 4,
    "simplicial_attention_vjp": 4,
    "sdm_neuron_attention": 2,
    "landmark_attention": 2,  # the places of the landmarks are one of them
    "landmark_attention_vjp": 4,
    "probabilistic_attention": 3,
    "sinkhorn_plan": 2,  # whether there is anything strange, and whether a round of steps stayed in range
    "combiner_fixed_attention": 2,
    "combiner_axial_attention": 2,
    "combiner_mixture_attention": 8,
}
"""How many factors may hold a NaN that is hidden, if not one."""
CHECKED_PAIRS = ("probabilistic_attention", "hard_attention", "gumbel_softmax_attention")
"""Those whose checks, which come before any engine, look at all visible pairs at once."""
FLAGS = ("causal", "return_weights", "return_grad_bias", "return_state")
TILINGS = [(1, 1, 1), (3, 9, 1), (3, 12, 24), (4, 20, 10**6)]


def computed(name, *arrays, **options):
    return call_on(cupy_on_numpy(), name, *arrays, **options)


@pytest.fixture(params=TILINGS, ids=str)
def tiling(request, monkeypatch):
    limit_tiles(monkeypatch, *request.param)
    return request.param


def limit_tiles(monkeypatch, rows, matrix_entries, tile_entries):
    monkeypatch.setattr(tile, "ROWS", rows)
    monkeypatch.setattr(tile, "MATRIX_ENTRIES", matrix_entries)
    monkeypatch.setattr(tile, "TILE_ENTRIES", tile_entries)


def heads(name, m, n, seed=0, dtype=np.float32):
    """Arrays of a formulation: two heads that share their keys, three batch members in the values alone."""
    rng = np.random.default_rng(seed)
    shapes = {"query": (2, m, 3), "key": (n, 3), "value": (3, 1, n, 5), "grad_output": (3, 2, m, 5)}
    takes = next(record.takes for record in all_records() if record.name == name)
    return [rng.normal(size=shapes[argument]).astype(dtype) for argument in takes]


def call_of(name, m, n, dtype=np.float32, returns=True):
    """A call of m queries and n keys with everything that a formulation can be asked for."""
    record, rng = find(name), np.random.default_rng(m)
    flags = {flag: True for flag in (FLAGS if returns else FLAGS[:1]) if flag in record.options}
    if name not in HEADS:
        sizes = {"m": m, "n": n, "d": 3, "e": 5} | dict.fromkeys(("n_1", "n_2", "n_3", *ALSO_ROWS.get(name, ())), n)
        call = build(Plan(name, sizes, (2,), dtype=np.dtype(dtype).name, mask="random", bias="normal", options=flags))
        return Call(name, call.arrays, call.options)
    visible = {"mask": rng.random((2, m, n)) < 0.7, "bias": rng.normal(size=(m, 1))}
    return Call(name, tuple(heads(name, m, n, dtype=dtype)), {**visible, **flags, **required(name, m, n, dtype)})


def required(name, m, n, dtype=np.float32):
    """The options that a formulation of heads needs, and uniform numbers where it takes any."""
    options = find(name).options
    given = {option: value for option, value in REQUIRED.items() if option in options}
    if "uniform" in options:
        shape = [{"m": m, "n": n}[letter] for letter in options["uniform"].core]
        given["uniform"] = (np.random.default_rng(n).integers(1024, size=shape) + 0.5).astype(dtype) / 1024
    return given


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("m", "n"), [(7, 9), (9, 7), (1, 13), (6, 1)])
def test_many_small_tiles_give_what_the_reference_gives(name, m, n, tiling):
    call = call_of(name, m, n)
    high, lows = high_and_lows(name, call.arrays, call.options)
    assert_within_budget(call.by(computed), high, lows)


def test_a_sum_over_all_tiles_can_be_the_divisor(tiling):
    arrays = heads("relu_attention", 7, 9)
    options = {"normalize": "sum", "return_weights": True}
    high, lows = high_and_lows("relu_attention", arrays, options)
    assert_within_budget(computed("relu_attention", *arrays, **options), high, lows)


@pytest.mark.parametrize("shape", [(), (9,), (1, 9), (7, 1), (3, 1, 1, 1)], ids=str)
def test_masks_and_biases_of_every_rank_are_broadcast(shape, tiling):
    arrays, rng = heads("softmax_attention", 7, 9), np.random.default_rng(4)
    options = {"mask": np.asarray(rng.random(shape) < 0.5), "bias": np.asarray(rng.normal(size=shape))}
    high, lows = high_and_lows("softmax_attention", arrays, options)
    assert_within_budget(computed("softmax_attention", *arrays, **options), high, lows)


def test_hidden_nan_has_no_gradient_and_spoils_none(tiling):
    query, key, value, grad_output = heads("softmax_attention_vjp", 7, 9)
    mask = np.random.default_rng(1).random((7, 9)) < 0.6
    mask[:, 4], mask[2, :] = False, False
    clean = computed("softmax_attention_vjp", query, key, value, grad_output, mask=mask)
    query[:, 2], grad_output[..., 2, :], key[4], value[..., 4, :] = np.nan, np.nan, np.nan, np.inf
    for part, same in zip(
        computed("softmax_attention_vjp", query, key, value, grad_output, mask=mask), clean, strict=True
    ):
        np.testing.assert_array_equal(np.isfinite(part), np.isfinite(same))
        np.testing.assert_array_equal(part == 0, same == 0)


@pytest.mark.parametrize("name", [name for name in HEADS if name.endswith("_attention")])
def test_hidden_nan_is_not_felt_in_any_tile(name, tiling):
    query, key, value = heads(name, 7, 9)
    mask = np.random.default_rng(1).random((7, 9)) < 0.6
    mask[:, 4] = False
    options = {"mask": mask, **required(name, 7, 9)}
    clean = computed(name, query, key, value, **options)
    key[4], value[..., 4, :] = np.nan, np.inf
    high, lows = high_and_lows(name, [query, np.nan_to_num(key), np.nan_to_num(value, posinf=0)], options)
    assert np.isfinite(clean).all()
    assert_within_budget(computed(name, query, key, value, **options), high, lows)


def test_visible_nan_reaches_its_row_and_channel_only(tiling):
    query, key, value = heads("softmax_attention", 7, 9)
    value[1, 0, 5, 2] = np.nan
    output, weights = computed("softmax_attention", query, key, value, causal=True, return_weights=True)
    felt = np.zeros(output.shape, dtype=bool)
    felt[1, :, 3:, 2] = True  # query i sees key 5 iff 5 <= i + 2
    np.testing.assert_array_equal(np.isnan(output), felt)
    assert np.isfinite(weights).all()


def test_many_hidden_nan_rows_are_added_few_at_a_time(tiling):
    query, key, value = heads("softmax_attention", 6, 40)
    mask = np.zeros((6, 40), dtype=bool)
    mask[:, :3] = True
    value[..., 3:, :] = np.nan
    np.testing.assert_array_equal(
        np.isnan(computed("softmax_attention", query, key, value, mask=mask)), np.zeros((3, 2, 6, 5), dtype=bool)
    )


def test_tiles_cover_each_visible_pair_once_and_no_tile_of_the_future(tiling):
    m, n = 8, 11
    tiles = Tiles(np.ones((2, m, 1)), np.ones((n, 1)), np.ones((3, 1, n, 1)), mask=None, bias=None, causal=True)
    seen = np.zeros((3, 2, m, n), dtype=int)
    for band in tiles.bands():
        for part, visible in tiles.along(band):
            block = seen[(*part.leading, part.rows, part.columns)]
            rows, matrix, entries = tiling
            assert block.shape[-2] <= rows
            assert block.shape[-2] * block.shape[-1] <= matrix
            assert block.size <= max(entries, block.shape[-2] * block.shape[-1])
            assert visible is None or visible.any()
            block += 1 if visible is None else visible
    np.testing.assert_array_equal(seen, np.broadcast_to(np.tri(m, n, n - m, dtype=int), seen.shape))


def test_chunk_sizes_bound_the_tiles(monkeypatch):
    limit_tiles(monkeypatch, 1000, 10**6, 10**6)
    shapes = []
    dot_scores = dotproduct.dot_scores

    def recorded(*arguments):
        score = dot_scores(*arguments)

        def record(part):
            scores = score(part)
            shapes.append(scores.shape[-2:])
            return scores

        return record

    monkeypatch.setattr(dotproduct, "dot_scores", recorded)
    arrays = heads("memory_efficient_attention", 7, 9)
    computed("memory_efficient_attention", *arrays, query_chunk_size=4, key_chunk_size=5)
    assert shapes == [(4, 5), (4, 4), (3, 5), (3, 4)]
    shapes.clear()
    computed("softmax_attention_vjp", *heads("softmax_attention_vjp", 7, 9), key_chunk_size=5)
    assert set(shapes) == {(7, 5), (7, 4)}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", [name for name in KERNELS if name not in OF_PAIRS])
def test_memory_does_not_grow_with_the_pairs(name, monkeypatch):
    """Three times the queries and keys are nine times the pairs, and need no more than three times the memory."""
    few, growth = 16 if name in CUBES else 256, 3
    spare = 2**14 if name in CUBES else 2**19  # the tuples that Python keeps for later; all pairs would be 2**22 bytes
    limit_tiles(monkeypatch, 8, 64, 64) if name in CUBES else limit_tiles(monkeypatch, 32, 4096, 4096)

    def peak(n):
        call = call_of(name, n, n, returns=False)
        bound = bind(find(name), call.arrays, call.options)
        tracemalloc.start()
        if name in CHECKED_PAIRS:
            cupy_on_numpy().function(find(name))(*bound.arrays.values(), **bound.options)
        else:
            call.by(computed)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(few // 4)  # imports
    assert peak(growth * few) < 1.25 * growth * peak(few) + spare  # lists of tiles and runs take their part


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_needs_little_beside_itself(name, monkeypatch):
    limit_tiles(monkeypatch, 64, 2**12, 2**12)
    call = call_of(name, 600, 600)
    plan = call.by(computed)
    assert peak_of(lambda: call.by(computed)) < 1.3 * (plan[0] if isinstance(plan, tuple) else plan).nbytes


def test_batch_members_that_only_the_values_lack_still_have_weights():
    query, key, value = np.ones((2, 3, 4)), np.ones((5, 4)), np.ones((0, 1, 5, 6))
    output, weights = computed("softmax_attention", query, key, value, return_weights=True)
    assert output.shape == (0, 2, 3, 6)
    np.testing.assert_array_equal(weights, attlas_ref.softmax_attention(query, key, key, return_weights=True).weights)


def test_an_offset_beyond_all_integers_of_a_machine_is_as_good_as_infinite():
    query, key, value = heads("attention_partial", 4, 5)
    everything = computed("attention_partial", query, key, value)
    for part, whole in zip(
        computed("attention_partial", query, key, value, causal=True, query_offset=2**70), everything, strict=True
    ):
        np.testing.assert_array_equal(part, whole)
    nothing = computed("attention_partial", query, key, value, causal=True, query_offset=-(2**70))
    assert (nothing.total == 0).all()
    assert np.isneginf(nothing.maximum).all()


def test_a_head_has_the_same_result_alone_and_in_a_batch():
    query, key, value = (np.random.default_rng(2).normal(size=(40, 33, 16)) for _ in range(3))
    together = computed("softmax_attention", query, key, value, causal=True)
    np.testing.assert_array_equal(computed("softmax_attention", query[7], key[7], value[7], causal=True), together[7])


def test_inputs_may_be_read_only_and_stay_as_they_are():
    arrays = heads("softmax_attention_vjp", 5, 6)
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    computed("softmax_attention_vjp", *arrays, causal=True, return_grad_bias=True)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("strange", [False, True], ids=["finite", "hidden-nan"])
@pytest.mark.parametrize("name", KERNELS)
def test_only_what_cupy_has_is_used_and_the_host_waits_once_per_factor(name, strange, tiling, monkeypatch):
    call = call_of(name, 7, 9, np.float64)
    if strange and name in HEADS:
        call.options["mask"][..., 4] = False
        call.arrays[1][4] = np.nan
    expected = call.by(computed)
    options = {
        option: each(value, lambda part: StrictArray(part) if isinstance(part, np.ndarray) else part)
        for option, value in call.options.items()
    }
    bound = bind(find(name), each(call.arrays, StrictArray), options)
    monkeypatch.setattr(StrictArray, "host_reads", 0)
    with np.errstate(all="ignore"):
        result = cupy_on_numpy().function(find(name))(*bound.arrays.values(), **bound.options)
    assert StrictArray.host_reads <= (2 if strange else 1) * FACTORS.get(name, 1)
    for part, same in zip(_parts(result), _parts(expected), strict=True):
        np.testing.assert_array_equal(part.get(), same)


def test_a_hidden_member_has_no_gradient_and_spoils_none(tiling):
    check_a_hidden_member_has_no_gradient_and_spoils_none(computed)


def test_a_query_that_one_set_hides_everything_from_gets_zeros(tiling):
    check_a_query_that_one_set_hides_everything_from_gets_zeros(computed)


@pytest.mark.parametrize("name", ["titans_memory", "titans_mlp_memory"])
@pytest.mark.parametrize("run", [1, 3, 64])
def test_runs_of_tokens_end_where_chunks_end(name, run, monkeypatch):
    from attlas.cupy_gpu.memory import titans

    monkeypatch.setattr(titans, "RUN", run)
    plan = Plan(name, {"n": 23, "d": 3, "e": 2, "h": 4}, (2,), options={"chunk_size": 8, "return_state": True})
    call = build(plan)
    high, lows = high_and_lows(name, call.arrays, call.options)
    assert_within_budget(call.by(computed), high, lows)
    query, key, value, *weights = call.arrays
    value = value.copy()
    value[..., 11, 0] = np.nan
    output = call.given(query, key, value, *weights).by(computed).output
    assert np.isfinite(output[..., :11, :]).all()
    assert np.isnan(output[..., 11:, 0]).all()


def _parts(result):
    return [part for value in result for part in _parts(value)] if isinstance(result, tuple) else [result]


def test_an_approximation_whose_bound_says_nothing_is_told():
    query, key = np.full((2, 4), 3.0), np.full((5, 4), 3.0)
    with pytest.warns(RuntimeWarning, match=r"^tensor_attention_lowrank: scores reach .* degree 2 "):
        computed("tensor_attention_lowrank", query, (key, key), (key, key), degree=2)
