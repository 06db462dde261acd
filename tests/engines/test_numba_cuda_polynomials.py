"""Fastmax in its factorized form on `numba-cuda`, in the simulator: chunks, pieces, what is hidden; and its bound."""

from typing import Any

import numpy as np
import pytest
from calls_of_polynomials import (
    BACKWARD,
    FORWARD,
    check_hidden_keys_are_not_felt,
    check_infinite_values_are_summed_pair_by_pair,
    check_many_chunks,
)

from attlas.bounds import largest_mean_square
from attlas.dispatch import call_on
from attlas.engines import TABLE, simulated

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from attlas.numba_cuda.kronecker import chunks, factorized, fastmax, lowrank

CAUSAL = pytest.mark.parametrize("causal", [False, True])
EACH, SHARED = slice(1, 2), slice(2, 3)


def computed(name: str, *arrays: Any, **options: Any) -> Any:
    return call_on(TABLE["numba-cuda"], name, *arrays, **options)


@pytest.fixture(autouse=True)
def always_factorized(monkeypatch: Any) -> None:
    monkeypatch.setattr(fastmax, "factorized_pays", lambda *call, **more: True)
    monkeypatch.setattr(factorized, "chunk_of", lambda d, order: 2)
    monkeypatch.setattr(chunks, "CHUNK", 1)  # pieces as long as there are monomials


@pytest.mark.parametrize("name", [FORWARD, BACKWARD])
@pytest.mark.parametrize(
    ("m", "n", "order", "causal", "masks"),
    [
        (5, 8, 2, True, EACH),
        (7, 4, 1, True, SHARED),
        (4, 4, 3, True, slice(1)),
        (3, 7, 1, False, EACH),
        (7, 2, 1, False, SHARED),
    ],
)
def test_many_chunks(name: str, m: int, n: int, order: int, causal: bool, masks: slice) -> None:
    check_many_chunks(computed, name, m, n, order, causal, masks=masks)


@CAUSAL
def test_hidden_keys_are_not_felt(causal: bool) -> None:
    check_hidden_keys_are_not_felt(computed, 4, causal)


@CAUSAL
def test_infinite_values_are_summed_pair_by_pair(causal: bool) -> None:
    check_infinite_values_are_summed_pair_by_pair(computed, 4, causal)


def test_each_call_takes_the_form_that_is_faster(monkeypatch: Any) -> None:
    monkeypatch.undo()
    rows = {length: np.broadcast_to(np.float32(1), (length, 16)) for length in (1, 64, 4096)}
    for causal in (False, True):
        assert fastmax.factorized_pays(rows[4096], rows[4096], rows[4096], 2, causal)
        assert not fastmax.factorized_pays(rows[64], rows[64], rows[64], 2, causal)
        assert not fastmax.factorized_pays(rows[4096], rows[4096], rows[4096], 4, causal)
        assert not fastmax.factorized_pays(rows[1], rows[4096], rows[4096], 2, causal)


def test_an_approximation_whose_bound_says_nothing_is_told() -> None:
    query, key = np.full((2, 4), 3.0), np.full((5, 4), 3.0)
    with pytest.warns(RuntimeWarning, match=r"^tensor_attention_lowrank: scores reach .* degree 2 "):
        computed("tensor_attention_lowrank", query, (key, key), (key, key), degree=2)


def test_one_strange_number_is_found() -> None:
    first, second = np.ones((40, 3), np.float32), np.ones((2, 5), np.float32)
    assert chunks.all_finite([first, second])
    for strange in (np.nan, np.inf):
        for array in (first, second):
            array[-1, -1] = strange
            assert not chunks.all_finite([first, second])
            array[-1, -1] = 1


@pytest.mark.parametrize("place", [0, 7, 19])
def test_a_strange_member_alone_is_replaced(place: int) -> None:
    array = np.zeros((3, 4, 5), np.float32)
    array[1].flat[place] = np.nan
    mended = chunks.mended(array, np.ones_like(array))
    np.testing.assert_array_equal(mended, np.repeat(np.float32([0, 1, 0]), 20).reshape(3, 4, 5))


@pytest.mark.parametrize("name", [FORWARD, BACKWARD])
def test_members_that_are_not_finite_are_computed_again_and_no_other(name: str, monkeypatch: Any) -> None:
    def parts() -> tuple[Any, ...]:
        found = computed(name, *arrays, order=2)
        return found if name == BACKWARD else (found,)

    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=(2, 4, 3)).astype(np.float32) for _ in range(4 if name == BACKWARD else 3)]
    clean = parts()
    arrays[0][1, :, 0], arrays[1][1, :, 0] = 1e25, 1e-25  # a power overflows, no score does
    strange = parts()
    monkeypatch.setattr(fastmax, "factorized_pays", lambda *call, **more: False)
    for one, other, by_pairs in zip(clean, strange, parts(), strict=True):
        assert one[0].tobytes() == other[0].tobytes()
        assert np.isfinite(other[1]).all()
        np.testing.assert_allclose(other[1], by_pairs[1], rtol=1e-3)


def test_the_mean_square_of_scores_is_that_of_the_host() -> None:
    rng = np.random.default_rng(3)
    query, keys = rng.normal(size=(2, 5, 3)), tuple(rng.normal(size=(n, 3)) for n in (4, 6))
    np.testing.assert_allclose(lowrank._largest_mean_square(query, keys), largest_mean_square(query, keys))
