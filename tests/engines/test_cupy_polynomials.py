"""Fastmax in its factorized form on the array programs of `cupy`: chunks, slabs of chunks, blocks of monomials."""

from typing import Any

import numpy as np
import pytest
from calls_of_polynomials import (
    BACKWARD,
    FORWARD,
    arrays_of,
    check_hidden_keys_are_not_felt,
    check_infinite_values_are_summed_pair_by_pair,
    check_many_chunks,
    tokens,
)
from peak_memory import peak_of
from strict_arrays import StrictArray

from attlas.cupy_gpu import tile
from attlas.cupy_gpu.kronecker import factorized, fastmax
from attlas.dispatch import call_on
from attlas.engines import cupy_on_numpy

NAMES = pytest.mark.parametrize("name", [FORWARD, BACKWARD])
CAUSAL = pytest.mark.parametrize("causal", [False, True])


def computed(name: str, *arrays: Any, **options: Any) -> Any:
    return call_on(cupy_on_numpy(), name, *arrays, **options)


@pytest.fixture(autouse=True)
def always_factorized(monkeypatch: Any) -> None:
    monkeypatch.setattr(fastmax, "factorized_pays", lambda *call, **more: True)


def limit(monkeypatch: Any, rows: int, matrix: int, chunk: int) -> None:
    monkeypatch.setattr(tile, "ROWS", rows)
    monkeypatch.setattr(tile, "MATRIX_ENTRIES", matrix)
    monkeypatch.setattr(tile, "TILE_ENTRIES", 8 * matrix)
    monkeypatch.setattr(factorized, "CHUNK", chunk)


@NAMES
@CAUSAL
@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize(("m", "n"), [(40, 40), (19, 60), (60, 19), (12, 12), (1, 50)])
@pytest.mark.parametrize("limits", [(24, 48, 5), (4, 1000, 12)], ids=str)
def test_many_chunks(name: str, causal: bool, order: int, m: int, n: int, limits: Any, monkeypatch: Any) -> None:
    limit(monkeypatch, *limits)
    check_many_chunks(computed, name, m, n, order, causal, dtype=np.float64 if order == 3 else np.float32)


@CAUSAL
def test_hidden_keys_are_not_felt(causal: bool) -> None:
    check_hidden_keys_are_not_felt(computed, 30, causal)


@CAUSAL
def test_infinite_values_are_summed_pair_by_pair(causal: bool) -> None:
    check_infinite_values_are_summed_pair_by_pair(computed, 30, causal)


@NAMES
@CAUSAL
def test_only_what_cupy_has_is_used_and_the_host_waits_once(name: str, causal: bool, monkeypatch: Any) -> None:
    arrays = arrays_of(name, tokens(3, 20, 25))
    options = {"order": 2, "scale": None, "causal": causal, "key_mask": np.arange(25) % 3 > 0}
    more = {"normalize": None, "return_weights": False} if name == FORWARD else {}
    expected = computed(name, *arrays, **options)
    monkeypatch.setattr(StrictArray, "host_reads", 0)
    options["key_mask"] = StrictArray(options["key_mask"])
    found = getattr(fastmax, name)(*map(StrictArray, arrays), **options, **more)
    assert StrictArray.host_reads == 1
    parts = ((found,), (expected,)) if name == FORWARD else (found, expected)
    for part, same in zip(*parts, strict=True):
        np.testing.assert_array_equal(part.get(), same)


@NAMES
@CAUSAL
def test_features_are_never_there_as_a_whole(name: str, causal: bool, monkeypatch: Any) -> None:
    m, d = 2000, 10  # 286 monomials
    limit(monkeypatch, 64, 2048, 64)
    query, key, value, gradient = tokens(5, m, m, d)
    arrays = arrays_of(name, [query[0], key, value[0, 0], gradient[0, 0]])
    assert peak_of(lambda: computed(name, *arrays, order=3, causal=causal)) < m * 286 * 4 / 2  # half of the features


def test_each_call_takes_the_form_that_is_faster(monkeypatch: Any) -> None:
    monkeypatch.undo()
    rows = {length: np.broadcast_to(np.float32(1), (length, 16)) for length in (1, 256, 4096)}
    for causal in (False, True):
        assert fastmax.factorized_pays(rows[4096], rows[4096], rows[4096], 2, causal)
        assert not fastmax.factorized_pays(rows[256], rows[256], rows[256], 2, causal)
        assert not fastmax.factorized_pays(rows[4096], rows[4096], rows[4096], 4, causal)
        assert not fastmax.factorized_pays(rows[1], rows[4096], rows[4096], 2, causal)
