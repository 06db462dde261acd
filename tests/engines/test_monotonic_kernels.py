"""What every engine does with alignments that drawn calls are too small or too tame for."""

from typing import Any

import numpy as np
import pytest

import attlas
from attlas.dispatch import call_on
from attlas.engines import TABLE, cupy_on_numpy, simulated
from attlas_ref.testing import assert_within_budget, high_and_lows

ENGINES = {"numba-cuda": TABLE["numba-cuda"]} if simulated() else {"numba": TABLE["numba"], "cupy": cupy_on_numpy()}
engines = pytest.mark.parametrize("engine", ENGINES)
dtypes = pytest.mark.parametrize("dtype", [np.dtype(np.float32), np.dtype(np.float64)], ids=str)
BOTH = ("mocha_weights", "infinite_lookback_weights")
LONG = 13 if simulated() else 135
"""Keys of a long row: more than the threads of a block, and no multiple of what advances together."""


def in_budget(engine: str, name: str, *arrays: Any, **options: Any) -> Any:
    high, lows = high_and_lows(name, arrays, options)
    actual = call_on(ENGINES[engine], name, *arrays, **options)
    assert_within_budget(actual, high, lows, what=f"{engine}: {name}")
    return actual


def masses(rng: np.random.Generator, *shape: int, dtype: Any) -> Any:
    size = rng.random(shape)
    return (size / size.sum(axis=-1, keepdims=True)).astype(dtype)


def energies(kind: str, rng: np.random.Generator, *shape: int) -> Any:
    """Energies that chunks take in another way each."""
    normal = rng.normal(size=shape)
    if kind == "far from 0":
        return 500 + 2 * normal
    if kind == "hundreds apart":
        return 300 * normal
    if kind == "on both sides of what is near":
        return np.where(rng.random(shape) < 0.5, 29, 31) * np.sign(normal)
    strange = {"NaN": np.nan, "infinite": np.inf, "minus infinite": -np.inf}
    return np.where(rng.random(shape) < 0.1, strange[kind], normal) if kind in strange else normal


KINDS = (
    *("moderate", "far from 0", "hundreds apart", "on both sides of what is near"),
    *("NaN", "infinite", "minus infinite"),
)


@engines
@dtypes
@pytest.mark.parametrize("kind", KINDS)
def test_energies_of_all_sizes_are_weighed(engine: str, dtype: Any, kind: str) -> None:
    rng = np.random.default_rng(KINDS.index(kind))
    m, n = (2, 9) if simulated() else (5, 41)
    alignment, energy = masses(rng, m, n, dtype=dtype), energies(kind, rng, m, n).astype(dtype)
    mask = rng.random((m, n)) < 0.8
    for width in (1, 2, 3, 7, n - 1, n, n + 1):
        in_budget(engine, "mocha_weights", alignment, energy, chunk_size=width, mask=mask)
    in_budget(engine, "infinite_lookback_weights", alignment, energy, mask=mask)


@engines
def test_a_chunk_feels_only_what_it_holds(engine: str) -> None:
    rng = np.random.default_rng(1)
    alignment, energy = masses(rng, 1, 24, dtype=np.float64), rng.normal(size=(1, 24))
    spoiled = energy.copy()
    spoiled[0, 12] = np.nan
    weights = call_on(ENGINES[engine], "mocha_weights", alignment, spoiled, chunk_size=4)
    assert np.isnan(weights[0]).tolist() == [9 <= j <= 15 for j in range(24)]


@engines
@pytest.mark.parametrize(("m", "n"), [(1, 5), (3, 4), (4, 1), (4, 3), (4, 4), (4, 5), (6, 7), (5, LONG)])
def test_rows_that_advance_together_are_rows(engine: str, m: int, n: int) -> None:
    rng = np.random.default_rng(m * n)
    p, grad = rng.random((m, n)), rng.normal(size=(m, n))
    options = {"previous": masses(rng, n, dtype=np.float64), "mask": rng.random((m, n)) < 0.8}
    in_budget(engine, "monotonic_alignment", p, **options)
    in_budget(engine, "monotonic_alignment_vjp", p, grad, **options)
    in_budget(engine, "monotonic_alignment", p, method="parallel", eps=1e-3, **options)


@pytest.mark.skipif(simulated(), reason="vectors of rows of the CPU engine")
@dtypes
@pytest.mark.parametrize(
    ("m", "n"), [(3, 1), (3, 20), (7, 16), (8, 15), (8, 16), (8, 17), (16, 31), (16, 32), (17, 33), (35, 48), (33, 201)]
)
def test_rows_that_fill_vectors_are_rows(m: int, n: int, dtype: Any) -> None:
    """As many rows as lanes, fewer and more; squares of keys at both ends, between them, or none that is whole."""
    rng = np.random.default_rng(m * n)
    p, grad = (rng.random((2, m, n)) * min(1, 4 * m / n)).astype(dtype), rng.normal(size=(2, m, n)).astype(dtype)
    start, hidden = masses(rng, n, dtype=dtype), rng.random((m, n)) < 0.9
    apart = np.zeros((2, m, 2 * n), dtype=dtype)[..., ::2]
    apart[...] = p
    for chances, options in (
        (p, {}),
        (p, {"previous": start}),
        (p, {"previous": start, "mask": hidden}),
        (apart, {"previous": start}),
        (p[:, ::-1], {"previous": start}),
        (np.round(p), {"previous": start}),
    ):
        in_budget("numba", "monotonic_alignment", chances, **options)
        in_budget("numba", "monotonic_alignment_vjp", chances, grad, **options)


@engines
def test_a_pointer_that_is_nearly_sure_loses_nothing_on_a_long_row(engine: str) -> None:
    p = np.full((4, LONG), 0.95, dtype=np.float32)
    start = np.full(LONG, 1 / LONG, dtype=np.float32)
    alignment = in_budget(engine, "monotonic_alignment", p, previous=start)
    assert (alignment.sum(axis=-1) > 1 - 0.22 / LONG).all()  # in each of four steps 0.05 / 0.95 of the last key's mass


@engines
def test_long_walks_stop_where_the_reference_stops(engine: str) -> None:
    rng = np.random.default_rng(3)
    p, uniform = rng.random((5, LONG)) * 8 / LONG, rng.random((5, LONG))
    mask = rng.random((5, LONG)) < 0.7
    for start in (None, np.eye(LONG)[LONG // 3], np.zeros(LONG)):
        for stay in (False, True):
            options = {"previous": start, "mask": mask, "stay_on_last": stay, "return_index": True}
            in_budget(engine, "sampled_monotonic_alignment", p, uniform=uniform, **options)
            in_budget(engine, "monotonic_hard_alignment", p, threshold=7.9 / LONG, **options)


@engines
@pytest.mark.parametrize(("back", "forward"), [(1, 1), (5, 1), (1, 6), (17, 12), (10**6, 3)])
def test_windows_of_any_width_are_sums(engine: str, back: int, forward: int) -> None:
    x = np.random.default_rng(4).normal(size=(2, LONG))
    in_budget(engine, "moving_sum", x, back=back, forward=forward)


@engines
def test_a_window_forgets_what_has_left_it(engine: str) -> None:
    x = np.ones((1, 30))
    x[0, 3], x[0, 20] = 1e30, np.nan
    sums = call_on(ENGINES[engine], "moving_sum", x, back=4, forward=2)
    plain = [j for j in range(4, 29) if not (2 <= j <= 6 or 19 <= j <= 23)]
    assert (sums[0, plain] == 5).all()
    assert np.isnan(sums[0, 19:24]).all()


@pytest.mark.skipif(simulated(), reason="blocks of the CPU engine")
def test_more_rows_than_a_block_look_back() -> None:
    rng = np.random.default_rng(5)
    alignment, energy = masses(rng, 2, 67, 5, dtype=np.float32), rng.normal(size=(2, 67, 5)).astype(np.float32)
    weights = in_budget("numba", "infinite_lookback_weights", alignment, energy)
    alone = attlas.infinite_lookback_weights(alignment[1, 66:], energy[1, 66:])
    assert (weights[1, 66:] == alone).all()


@pytest.mark.skipif(simulated(), reason="array programs")
def test_rows_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from attlas.cupy_gpu import tile

    rng = np.random.default_rng(6)
    alignment, energy = masses(rng, 2, 7, 5, dtype=np.float64), rng.normal(size=(2, 7, 5))
    mask = rng.random((7, 5)) < 0.7
    options = {"mocha_weights": {"chunk_size": 3, "mask": mask}, "infinite_lookback_weights": {"mask": mask}}
    whole = {name: call_on(ENGINES["cupy"], name, alignment, energy, **options[name]) for name in BOTH}
    monkeypatch.setattr(tile, "TILE_ENTRIES", 20)
    for name in BOTH:
        assert (call_on(ENGINES["cupy"], name, alignment, energy, **options[name]) == whole[name]).all()


@pytest.mark.skipif(not simulated(), reason="launches of the GPU engine")
def test_rows_may_take_several_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    from attlas.numba_cuda.probabilistic import teams

    rng = np.random.default_rng(7)
    alignment, energy = masses(rng, 5, 4, dtype=np.float64), rng.normal(size=(5, 4))
    monkeypatch.setattr(teams, "SCRATCH", 16)
    in_budget("numba-cuda", "mocha_weights", alignment, energy, chunk_size=2)
    in_budget("numba-cuda", "infinite_lookback_weights", alignment, energy)


# Members in turn


@pytest.mark.skipif(simulated(), reason="only the CPU takes members in turn")
@pytest.mark.parametrize("name", ["mocha_attention", "monotonic_attention"])
@pytest.mark.parametrize("leading", [(5,), (5, 2), ()], ids=str)
def test_members_in_turn_give_the_bits_of_all_together(
    name: str, leading: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from attlas.numba_cpu import members

    rng = np.random.default_rng(30)
    query, key, value = (rng.normal(size=(*leading, *core)).astype(np.float32) for core in ((6, 4), (9, 4), (9, 3)))
    mask, noise = rng.random((*leading, 6, 9)) < 0.8, rng.normal(size=(*leading, 6, 9)).astype(np.float32)
    previous = masses(rng, *leading, 9, dtype=np.float32)
    value[..., 4, :] = np.nan
    mask[..., 4] = False
    options: list[dict[str, Any]] = [
        {},
        {"mask": mask},
        {"noise": noise, "mask": mask[..., :1, :], "previous": previous},
        {"mask": mask[-1:] if leading else mask},  # broadcasts along the first axis
        {"noise": noise[0] if leading else noise},  # has fewer axes than the others
    ]
    if name == "mocha_attention":
        options = [{"chunk_size": 3, **some} for some in [*options, {"energy": noise, "mask": mask}]]
    for some in options:
        some = {"score": "dot", **some}
        together = getattr(attlas, name)(query, key, value, **some)
        with monkeypatch.context() as patch:
            patch.setattr(members, "NEAR", 120)  # of (6, 9) pairs two members, or one of two heads
            in_turn = getattr(attlas, name)(query, key, value, **some)
        np.testing.assert_array_equal(in_turn, together)
        in_budget("numba", name, query, key, value, **some)
