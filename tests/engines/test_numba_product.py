"""Rows times a weight on the engine's own threads: what NumPy's product gives, and the same bits anywhere."""

import numpy as np
import pytest

from attlas import set_num_threads
from attlas.numba_cpu import product
from attlas.numba_cpu.operands import WORTH_A_THREAD
from attlas.numba_cpu.product import FAST, SMALL, multiplied, projected


def normal(seed, shape, dtype):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.fixture
def nothing_small(monkeypatch):
    monkeypatch.setattr(product, "SMALL", 1)


def close(found, rows, weight):
    exact = rows.astype(np.longdouble) @ weight.astype(np.longdouble)
    terms = np.abs(rows).astype(np.longdouble) @ np.abs(weight).astype(np.longdouble)
    assert found.dtype == rows.dtype
    assert found.shape == exact.shape
    assert np.all(np.abs(found - exact) <= (rows.shape[-1] + 2) * np.finfo(rows.dtype).eps * terms)


@pytest.mark.usefixtures("nothing_small")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("rows", "weight"),
    [
        ((3, 5), (5, 7)),
        ((65, 4), (4, 96)),
        ((130, 9), (9, 113)),
        ((1, 1), (1, 1)),
        ((2, 3, 70, 8), (8, 16)),
        ((2, 1, 6, 8), (3, 8, 5)),
        ((0, 4, 8), (8, 5)),
        ((4, 0), (0, 5)),
        ((0, 4), (4, 5)),
        ((3, 4), (4, 0)),
    ],
)
def test_product_is_the_product(rows, weight, dtype):
    rows, weight = normal(1, rows, dtype), normal(2, weight, dtype)
    close(multiplied(rows, weight), rows, weight)


@pytest.mark.usefixtures("nothing_small")
def test_product_reads_rows_and_weights_where_they_lie():
    rows, weight = normal(1, (9, 70, 2), "float32").transpose(2, 1, 0)[:, ::-3], normal(2, (40, 9), "float32").T
    before = rows.copy(), weight.copy()
    wide = np.ascontiguousarray(weight[:, :16], dtype="float64")
    close(multiplied(rows, wide), rows, wide.astype("float32"))
    close(multiplied(rows, weight), rows, weight)
    close(multiplied(rows, weight[:, ::2]), rows, weight[:, ::2])
    close(multiplied(np.broadcast_to(rows[:1], rows.shape), weight), np.broadcast_to(rows[:1], rows.shape), weight)
    assert np.array_equal(rows, before[0])
    assert np.array_equal(weight, before[1])


def test_bits_do_not_depend_on_the_batch_or_on_threads():
    m, p, a = 260, 64, 100
    assert m * p * a >= SMALL
    rows, weight = normal(1, (12, m, p), "float32"), normal(2, (p, a), "float32")
    assert rows.size * a >= FAST * WORTH_A_THREAD
    found = []
    for threads in (1, 2, 5):
        set_num_threads(threads)
        found.append(multiplied(rows, weight))
    set_num_threads(None)
    alone = np.stack([multiplied(member, weight) for member in rows])
    assert all(each.tobytes() == alone.tobytes() for each in found)


def test_what_is_not_finite_stays_in_its_row_or_column():
    rows, weight = np.ones((200, 64), "float32"), np.ones((64, 40), "float32")
    rows[7, 3], weight[5, 9] = np.nan, np.inf
    found = multiplied(rows, weight)
    assert rows.shape[0] * weight.size >= SMALL
    assert np.isnan(found[7]).all()
    assert np.isposinf(np.delete(found[:, 9], 7)).all()
    assert np.isfinite(np.delete(np.delete(found, 7, axis=0), 9, axis=1)).all()


def test_rows_that_are_repeated_are_projected_once():
    rows, weight, bias = normal(1, (3, 4), "float64"), normal(2, (4, 2), "float64"), normal(3, 2, "float64")
    many = np.broadcast_to(rows, (1000, 3, 4))
    found = projected(many, weight, bias)
    assert found.shape == (1000, 3, 2)
    assert found.strides[0] == 0
    assert np.allclose(found[0], rows @ weight + bias)
    assert projected(many, None) is many
