"""Choices, noise and captions on `numba-cuda`, in the simulator: tiles of every shape, long rows, what is hidden."""

import sys
from typing import Any

import numpy as np
import pytest
from calls_of_alignments import calls_of, draws, normal

from attlas.dispatch import call_on
from attlas.engines import TABLE, simulated
from attlas_ref.testing import assert_within_budget, high_and_lows

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from attlas.numba_cuda import operands
from attlas.numba_cuda.blocks import Block

CHOICES = ("hard_attention", "gumbel_softmax_attention")
NAMES = pytest.mark.parametrize("name", [*CHOICES, "show_attend_attention", "visual_sentinel_attention"])
BLOCKS = [
    Block(across=1, down=1, rows=1, columns=3, outputs=3, depth=1),
    Block(across=2, down=2, rows=2, columns=1, outputs=1, depth=2),
    Block(across=3, down=1, rows=3, columns=1, outputs=2, depth=5),
    Block(across=1, down=3, rows=1, columns=4, outputs=3, depth=3),
]


def computed(name: str, *arrays: Any, **options: Any) -> Any:
    return call_on(TABLE["numba-cuda"], name, *arrays, **options)


@NAMES
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.own}x{block.other}x{block.width}")
def test_tiles_smaller_than_the_arrays(name: str, block: Block, monkeypatch: Any) -> None:
    monkeypatch.setattr(operands, "default_block", lambda dtype: block)
    for arrays, options in calls_of(name, 7, 11, batch=(2,)):
        high, lows = high_and_lows(name, arrays, options)
        assert_within_budget(computed(name, *arrays, **options), high, lows, what=name)


def test_draws_find_the_key_of_their_stretch_wherever_it_stands() -> None:
    """All weights alike but those of hidden keys: the stretches are known."""
    m, n, hidden = 30, 20, np.array([0, 6, 7, 19])
    mask = ~np.isin(np.arange(n), hidden)
    uniform = (np.arange(m) + 0.5) / m
    rows, numbers = np.zeros((m, 1)), np.arange(float(n))[:, None]
    found = computed("hard_attention", rows, 0 * numbers, numbers, uniform=uniform, mask=mask, return_index=True)
    expected = np.flatnonzero(mask)[np.floor(uniform * mask.sum()).astype(int)]
    np.testing.assert_array_equal(found.index, expected)
    np.testing.assert_array_equal(found.output[:, 0], expected)


@pytest.mark.parametrize("hidden", [0, 3])
def test_the_largest_draw_takes_the_last_key_that_is_seen(hidden: int) -> None:
    """Also where rounding leaves the running sum below what is sought."""
    m, n = 6, 60
    query, key = -np.linspace(0.05, 5, m, dtype=np.float32)[:, None], np.ones((n, 1), dtype=np.float32)
    key[0] = 0
    uniform = np.full(m, np.nextafter(np.float32(1), np.float32(0)))
    options = {"scale": 1.0, "mask": np.arange(n) < n - hidden, "uniform": uniform, "return_index": True}
    np.testing.assert_array_equal(computed("hard_attention", query, key, key, **options).index, n - hidden - 1)


def test_sums_of_long_rows_move_no_draw() -> None:
    """Half a unit in the last place is lost at every addition, unless it is kept."""
    n = 600
    key = np.zeros((n, 1), dtype=np.float16).astype(np.float32)
    bias = np.where(np.arange(n) == 0, 0, np.log(np.float32(3e-8))).astype(np.float32)
    weights = np.exp(bias.astype(np.float64))
    uniform = np.float32([0.99999])
    found = computed("hard_attention", key[:1], key, key, uniform=uniform, bias=bias, return_index=True)
    share = np.cumsum(weights) / weights.sum()
    assert abs(share[found.index[0]] - uniform[0]) < 2 * sys.float_info.epsilon**0.5


def test_equal_scores_go_to_the_first_key_wherever_it_stands() -> None:
    n = 11
    rows, numbers = np.ones((3, 1), dtype=np.float32), np.arange(n, dtype=np.float32)[:, None]
    for first in range(n):
        mask = np.arange(n) >= first
        np.testing.assert_array_equal(computed("hard_attention", rows, 0 * numbers, numbers, mask=mask), first)
        options = {"uniform": np.full((3, n), 0.25, dtype=np.float32), "hard": True, "mask": mask}
        np.testing.assert_array_equal(
            computed("gumbel_softmax_attention", rows, 0 * numbers, numbers, **options), first
        )


@pytest.mark.parametrize("name", CHOICES)
def test_a_visible_nan_in_a_key_spoils_exactly_the_choices_that_see_it(name: str) -> None:
    for arrays, options in calls_of(name, 6, 9):
        query, key, value = arrays
        fouled = key.copy()
        fouled[4] = np.nan
        mask = options["mask"] & (np.arange(9) <= np.arange(6)[:, None] + 3)
        found = computed(name, query, fouled, value, **options)
        np.testing.assert_array_equal(np.isnan(found.output), np.repeat(mask[:, 4, None], 5, axis=1))
        np.testing.assert_array_equal(np.isnan(found.weights), mask & mask[:, 4, None])
        if name == "hard_attention":
            assert (found.index[mask[:, 4]] == -1).all()


def test_infinite_scores_are_chosen_but_have_no_logarithmic_weight() -> None:
    query, key, value = normal(0, 3, 2), normal(1, 9, 2), normal(2, 9, 3)
    bias, uniform = np.zeros((3, 9), dtype=np.float32), draws(3, 3, 9)
    bias[1, [5, 7]] = np.inf
    assert computed("hard_attention", query, key, value, bias=bias, return_index=True).index[1] == 5
    for hard in (False, True):
        output = computed("gumbel_softmax_attention", query, key, value, bias=bias, uniform=uniform, hard=hard)
        np.testing.assert_array_equal(np.isnan(output).all(axis=-1), np.arange(3) == 1)


def test_what_is_broadcast_is_projected_once(monkeypatch: Any) -> None:
    """Words and regions that are the same memory in all members."""
    (hidden, regions, sentinel), options = next(calls_of("visual_sentinel_attention", 4, 5))
    spread = [np.broadcast_to(rows, (3, *rows.shape)) for rows in (hidden, regions)]
    sizes: list[int] = []
    monkeypatch.setattr(operands, "flat_memory", lambda array, layout: _noted(array, layout, sizes))
    found = computed("visual_sentinel_attention", *spread, sentinel, **options)
    assert found.output.shape == (3, 4, 5)
    assert max(sizes) <= found.output.size
    alone = computed("visual_sentinel_attention", hidden, regions, sentinel, **options)
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_array_equal(one, np.broadcast_to(other, one.shape))


def _noted(array: Any, layout: Any, sizes: list[int]) -> Any:
    from attlas.layout import flat_memory

    sizes.append(layout.extent)
    return flat_memory(array, layout)
