"""What the recursions over two sequences do with calls that drawn ones are too small for.

More states than a vector holds, more rows than a strip, more frames than are turned at a time; thousands of steps;
infinities and NaN in the midst.
"""

import math
from typing import Any

import numpy as np
import pytest

from attlas.dispatch import call_on
from attlas.engines import TABLE, Engine, cupy_on_numpy, simulated
from attlas.numba_cpu.monotonic.alignment_search import FRAMES
from attlas.numba_cpu.monotonic.strips import ROWS
from attlas_ref.testing import assert_within_budget, high_and_lows

if simulated():
    pytest.skip("Numba's CUDA simulator is on; the GPU's are in test_numba_cuda_lattices", allow_module_level=True)

dtypes = pytest.mark.parametrize("dtype", [np.dtype(np.float32), np.dtype(np.float64)], ids=str)


@pytest.fixture(params=[TABLE["numba"], cupy_on_numpy()], ids=["numba", "cupy-as-numpy"])
def engine(request: Any) -> Engine:
    chosen: Engine = request.param
    return chosen


def normal(seed: int, *shapes: tuple[int, ...], dtype: Any = np.float32, scale: float = 1) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [(scale * rng.normal(size=shape)).astype(dtype) for shape in shapes]


def in_budget(engine: Engine, name: str, *arrays: Any, seeds: int = 1, **options: Any) -> Any:
    """Compare with the reference. Of many blocks some have lucky lows, unless there are several by several seeds."""
    high, lows = high_and_lows(name, arrays, options)
    for seed in range(1, seeds):
        lows = [*lows, *high_and_lows(name, arrays, options, seed=seed)[1]]
    actual = call_on(engine, name, *arrays, **options)
    assert_within_budget(actual, high, lows, what=name)
    return actual


def text(seed: int, *shape: int, symbols: int) -> Any:
    """Labels from 1 on, some of which follow themselves."""
    return np.random.default_rng(seed).integers(1, symbols, size=shape)


@dtypes
def test_thousands_of_frames_keep_their_digits(engine: Engine, dtype: Any) -> None:
    """Where frames say nothing the likelihood counts alignments: C(T + S, 2 S) of them, if no label is repeated."""
    frames, labels, symbols = 10_000 if engine.name == "numba" else 1000, 20, 7
    target = np.arange(labels) % (symbols - 1) + 1
    log_probs = np.full((frames, symbols), -math.log(symbols), dtype=dtype)
    log_p, posterior = call_on(engine, "ctc_log_likelihood", log_probs, target, return_posterior=True)
    exact = math.log(math.comb(frames + labels, 2 * labels)) + frames * float(log_probs[0, 0])
    # A step rounds the largest of its numbers, at 0 before and after, a few times.
    rounding = frames * 4 * np.finfo(dtype).eps
    assert abs(log_p - exact) <= rounding + 4 * np.finfo(dtype).eps * abs(exact)
    assert np.abs(posterior.sum(axis=-1) - 1).max() <= 64 * np.finfo(dtype).eps
    alignment, score = call_on(engine, "ctc_viterbi", log_probs, target)
    assert [a for a, before in zip(alignment, [0, *alignment], strict=False) if a not in (0, before)] == [*target]
    assert score <= log_p


@dtypes
def test_texts_of_many_labels_and_lengths(engine: Engine, dtype: Any) -> None:
    (log_probs,) = normal(1, (3, 60, 5), dtype=dtype, scale=3)
    target = text(1, 3, 37, symbols=5)
    options = {"input_lengths": np.array([60, 41, 0]), "target_lengths": np.array([20, 37, 0]), "blank": 0}
    for name in ("ctc_posterior", "ctc_viterbi", "ctc_log_likelihood"):
        in_budget(engine, name, log_probs, target, seeds=2, **options)
    in_budget(engine, "ctc_log_likelihood", log_probs, target, return_posterior=True, seeds=2, **options)


@dtypes
def test_strange_frames_are_felt_where_the_reference_feels_them(engine: Engine, dtype: Any) -> None:
    (log_probs,) = normal(2, (6, 12, 4), dtype=dtype)
    target = np.array([1, 2, 2, 3])
    log_probs[0, 3, 2] = log_probs[1, 4, 0] = np.nan
    log_probs[2, 5, 1] = log_probs[3, 0, 1] = np.inf
    log_probs[4, 6] = -np.inf
    log_probs[5, 11, 1] = np.nan  # by the last frame no path is at the first label any more
    for name in ("ctc_posterior", "ctc_viterbi", "ctc_log_likelihood"):
        in_budget(engine, name, log_probs, target, seeds=2)


@pytest.mark.parametrize(("letters", "frames"), [(40, 2 * FRAMES + 9), (FRAMES, FRAMES), (3, FRAMES + 1), (1, 300)])
def test_paths_through_many_frames(engine: Engine, letters: int, frames: int) -> None:
    (log_prob,) = normal(3, (2, letters, frames))
    in_budget(engine, "monotonic_alignment_search", log_prob, return_score=True)
    flipped = np.asfortranarray(log_prob[:, ::-1, ::-1])
    in_budget(engine, "monotonic_alignment_search", flipped, return_score=True)
    mask = np.zeros(log_prob.shape, dtype=bool)
    mask[0, : letters // 2, : frames - 2] = mask[1, :letters, :letters] = True
    in_budget(engine, "monotonic_alignment_search", log_prob, mask=mask, return_score=True)


def test_letters_that_no_path_reaches_are_not_felt(engine: Engine) -> None:
    log_prob = normal(4, (4, 9))[0]
    expected = call_on(engine, "monotonic_alignment_search", log_prob, return_score=True)
    x, y = np.indices(log_prob.shape)
    hidden = np.where((x > y) | (x < y - 5), np.nan, log_prob)
    for part, same in zip(
        call_on(engine, "monotonic_alignment_search", hidden, return_score=True), expected, strict=True
    ):
        np.testing.assert_array_equal(part, same)
    seen = log_prob.copy()
    seen[1, 3] = np.nan
    in_budget(engine, "monotonic_alignment_search", seen, return_score=True)


@dtypes
@pytest.mark.parametrize("shape", [(ROWS + 2, 3), (2, ROWS + 1)])
def test_warping_goes_from_strip_to_strip(engine: Engine, dtype: Any, shape: tuple[int, int]) -> None:
    (cost,) = normal(5, shape, dtype=dtype)
    cost = cost * cost
    in_budget(engine, "soft_dtw", cost, gamma=0.3, return_alignment=True)
    in_budget(engine, "dtw_path", cost[::-1, ::-1])


def test_many_strips_are_one_when_the_matrix_is_turned(engine: Engine) -> None:
    """Whole numbers are added without rounding, so that a turned matrix has the same value to the last bit."""
    cost = np.random.default_rng(5).integers(9, size=(2 * ROWS + 5, 11)).astype(np.float64)
    value, path = call_on(engine, "dtw_path", cost)
    assert value == call_on(engine, "dtw_path", np.ascontiguousarray(cost.T)).value == (path * cost).sum()
    alone, soft = call_on(engine, "soft_dtw", cost), call_on(engine, "soft_dtw", cost, return_alignment=True)
    assert alone == soft.value <= value
    # Every path passes the first entry, and each row at least once; each entry rounds a few times.
    rounding = 8 * cost.size * np.finfo(np.float64).eps
    assert abs(soft.alignment[0, 0] - 1) < rounding
    assert (soft.alignment.sum(axis=-1) > 1 - rounding).all()


@dtypes
def test_strange_costs_are_felt_where_the_reference_feels_them(engine: Engine, dtype: Any) -> None:
    (cost,) = normal(6, (6, 5, 7), dtype=dtype)
    band = np.abs(np.subtract.outer(np.arange(5), np.arange(7))) > 3
    cost[0, band] = np.inf
    cost[1, 2, 3] = np.nan
    cost[2, 1, 4] = -np.inf
    cost[3, 0, 0] = np.inf
    cost[4, 4, 6] = np.nan
    cost[5, 2], cost[5, 1, 1] = np.inf, np.nan  # nothing gets past a row of infinities
    for gamma in (1e-3, 50.0):
        in_budget(engine, "soft_dtw", cost, gamma=gamma, return_alignment=True, seeds=2)
    in_budget(engine, "dtw_path", cost)


def test_equal_costs_go_along_the_diagonal_then_down(engine: Engine) -> None:
    value, path = call_on(engine, "dtw_path", np.ones((3, 4)))
    assert value == 4
    np.testing.assert_array_equal(path, [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


@dtypes
def test_pieces_of_long_sequences(engine: Engine, dtype: Any) -> None:
    for seed, shape in enumerate([(23, 17), (9, 30), (30, 2)]):
        in_budget(engine, "segment_alignment", normal(7 + seed, shape, dtype=dtype)[0], return_score=True)
    same = np.zeros((4, 4), dtype=dtype)
    for penalty in (0.0, 1.0, -1.0):
        in_budget(engine, "segment_alignment", same, length_penalty=penalty, return_score=True)


@dtypes
def test_more_positions_than_a_vector_holds(engine: Engine, dtype: Any) -> None:
    energy, emission = normal(10, (2, 9, 37), (2, 9, 37), dtype=dtype, scale=3)
    for strict, log in ((False, True), (True, False)):
        options = {"strict": strict, "allow_last": True, "log": log}
        in_budget(engine, "monotonic_position_log_prob", energy, seeds=2, **options)
    moves = call_on(engine, "monotonic_position_log_prob", energy)[:, 1:]
    (start,) = normal(11, (37,), dtype=dtype)
    in_budget(engine, "latent_monotonic_log_prob", emission, moves, start, return_posterior=True, seeds=2)
    in_budget(engine, "latent_monotonic_viterbi", emission, moves, start)
    # The same numbers, read column by column.
    turned = np.asfortranarray(moves)
    in_budget(engine, "latent_monotonic_posterior", emission, turned, start, seeds=2)
    in_budget(engine, "latent_monotonic_viterbi", emission, turned, start)


def test_energies_that_are_no_numbers_are_felt_from_behind_alone(engine: Engine) -> None:
    (energy,) = normal(12, (3, 4, 6))
    energy[0, 1, 3], energy[1, 2, 2], energy[2, 0, 1:4] = np.nan, np.inf, -np.inf
    energy[2, 2], energy[2, 3, :2] = -np.inf, (np.inf, np.nan)
    for strict in (False, True):
        in_budget(engine, "monotonic_position_log_prob", energy, strict=strict, seeds=2)
        in_budget(engine, "monotonic_position_log_prob", energy, strict=strict, log=False, seeds=2)


@dtypes
def test_long_latent_alignments_keep_their_digits(engine: Engine, dtype: Any) -> None:
    """Every output may stay or go on: of N outputs over two positions the weights are known."""
    n = 3000
    forward = np.array([[0.0, 0.0], [-np.inf, 0.0]], dtype=dtype)
    moves = np.broadcast_to(forward, (n - 1, 2, 2))
    log_prob, posterior = call_on(
        engine, "latent_monotonic_log_prob", np.zeros((n, 2), dtype=dtype), moves, return_posterior=True
    )
    eps = np.finfo(dtype).eps
    assert abs(log_prob - math.log(n + 1)) <= 8 * n * eps
    # The alignment enters the second position before any of the outputs, or never.
    np.testing.assert_allclose(posterior[:, 1], np.arange(1, n + 1) / (n + 1), rtol=0, atol=8 * n * eps)


@pytest.mark.parametrize("name", ["ctc_posterior", "soft_dtw", "monotonic_alignment_search"])
def test_a_member_is_the_same_in_any_batch(engine: Engine, name: str) -> None:
    arrays = normal(13, (40, 20, 33))
    labels = [text(13, 40, 9, symbols=33)] if name == "ctc_posterior" else []
    whole = call_on(engine, name, *arrays, *labels)
    alone = call_on(engine, name, *(array[17] for array in (*arrays, *labels)))
    if engine.name == "numba":
        np.testing.assert_array_equal(whole[17], alone)
    else:
        np.testing.assert_allclose(whole[17], alone, rtol=1e-5, atol=1e-6)
