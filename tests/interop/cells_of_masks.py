"""Cells about who sees whom, and about what a mask hides."""

from typing import Any

import numpy as np
import pytest
from convention_checks import RNG, check, rows
from native import RUN, agree, biased, jax, masked, onnx, plainly, pytorch

import attlas_ref


@check("causal")
def _(library: str) -> None:
    flag = 1 if library == "onnx" else True
    for m, n in ((3, 5), (5, 3)):
        arrays = rows(m, n)
        assert agree(RUN[library](*arrays, is_causal=flag), plainly(*arrays, np.tri(m, n, dtype=bool)))
    query, key, value = arrays = rows(3, 5)
    last = plainly(*arrays, np.tri(3, 5, 2, dtype=bool))
    assert agree(attlas_ref.softmax_attention(*arrays, causal=True), last)
    if library == "pytorch":
        from torch.nn.attention.bias import causal_lower_right

        assert agree(pytorch(*arrays, attn_mask=causal_lower_right(3, 5)), last)
    elif library == "onnx":
        from onnx.reference.ops.op_attention import _compute_attention as attention

        past = {"past_key": key[:, :, :2], "past_value": value[:, :, :2]}
        assert agree(attention(query, key[:, :, 2:], value[:, :, 2:], is_causal=True, **past)[0], last)
        assert agree(attention(*arrays, is_causal=True, nonpad_kv_seqlen=np.array([5]))[0], last)


@check("window")
def _(library: str) -> None:
    arrays = rows(3, 6)
    i, j = np.arange(3)[:, None], np.arange(6)
    around_i = plainly(*arrays, (j >= i - 1) & (j <= i + 2))
    if library == "pytorch":
        with pytest.raises(TypeError):
            pytorch(*arrays, window_size=(1, 2))
    elif library == "jax":
        assert agree(jax(*arrays, local_window_size=(1, 2)), around_i)
    else:
        assert agree(onnx(*arrays, left_window_size=1, right_window_size=2), around_i)


@check("boolean mask")
def _(library: str) -> None:
    arrays, mask = rows(3, 5), RNG.random((1, 1, 3, 5)) < 0.6
    mask[..., 0] = True
    assert agree(RUN[library](*arrays, **masked(library, mask)), plainly(*arrays, mask))


@check("integer mask")
def _(library: str) -> None:
    arrays, mask = rows(3, 5), np.array([1, 0, 1, 1, 0]) * np.ones((1, 1, 3, 1), dtype=np.int64)
    if library == "onnx":
        assert agree(onnx(*arrays, mask), plainly(*arrays, bias=mask))
    else:
        with pytest.raises({"pytorch": RuntimeError, "jax": ValueError}[library], match="mask"):
            RUN[library](*arrays, **masked(library, mask))
    with pytest.raises(TypeError, match="mask"):
        attlas_ref.softmax_attention(*arrays, mask=mask)


@check("bias")
def _(library: str) -> None:
    arrays, bias = rows(3, 5), RNG.normal(size=(1, 1, 3, 5)).astype(np.float32)
    bias[..., 1] = -np.inf
    assert agree(RUN[library](*arrays, scale=2.0, **biased(library, bias)), plainly(*arrays, bias=bias, scale=2.0))


@check("mask and causal")
def _(library: str) -> None:
    arrays, mask = rows(5, 5), RNG.random((1, 1, 5, 5)) < 0.6
    mask[..., 0] = True
    expected = plainly(*arrays, mask & np.tri(5, dtype=bool))
    flag = 1 if library == "onnx" else True
    assert agree(RUN[library](*arrays, is_causal=flag, **masked(library, mask)), expected)
    if library == "pytorch":
        with pytest.raises(RuntimeError, match="should not be set"):
            pytorch(*arrays, plain=True, is_causal=True, attn_mask=mask)


@check("empty row")
def _(library: str) -> None:
    arrays, mask = rows(3, 5), np.array([True, False, True])[:, None] & np.ones((1, 1, 1, 5), dtype=bool)
    kernels: list[dict[str, Any]] = [{"plain": True}, {"plain": False}] if library == "pytorch" else [{}]
    for kernel in kernels:
        row = RUN[library](*arrays, **masked(library, mask), **kernel)[0, 0, 1]
        assert agree(row, arrays[2][0, 0].mean(axis=0)) if library == "jax" else (row == 0).all()


@check("empty bias row")
def _(library: str) -> None:
    arrays, bias = rows(3, 5), np.zeros((1, 1, 3, 5), dtype=np.float32)
    bias[..., 1, :] = -np.inf
    row = RUN[library](*arrays, **biased(library, bias))[0, 0, 1]
    assert np.isnan(row).all() if library == "jax" else (row == 0).all()


@check("no keys")
def _(library: str) -> None:
    arrays = rows(3, 0)
    if library == "onnx":
        with pytest.raises(ValueError, match="zero-size"):
            onnx(*arrays)
    else:
        assert (RUN[library](*arrays) == np.zeros((1, 1, 3, 4))).all()


def felt(library: str, broken: int, **options: Any) -> Any:
    """Say which of 5 queries feel a NaN in the last key (1) or value (2), which all but the last may not see."""
    arrays = rows(5, 5)
    arrays[broken][..., 4, :] = np.nan
    if not options:
        options = masked(library, np.tri(5, dtype=bool)[None, None])
    return np.isnan(RUN[library](*arrays, **options)).any(axis=-1)[0, 0].tolist()


NOBODY_ELSE, EVERYBODY = [False, False, False, False, True], [True] * 5


@check("hidden key")
def _(library: str) -> None:
    assert felt(library, 1) == (NOBODY_ELSE if library == "jax" else EVERYBODY)
    if library == "pytorch":
        assert felt(library, 1, is_causal=True, plain=False) == NOBODY_ELSE
        assert felt(library, 1, is_causal=True, plain=True) == EVERYBODY


@check("hidden value")
def _(library: str) -> None:
    assert felt(library, 2) == EVERYBODY
    if library == "jax":
        assert felt(library, 2, key_value_seq_lengths=np.array([4], dtype=np.int32)) == EVERYBODY
    elif library == "onnx":
        from onnx.reference.ops.op_attention import _compute_attention as attention

        arrays = rows(5, 5)
        arrays[2][..., 4, :] = np.nan
        assert np.isnan(attention(*arrays, nonpad_kv_seqlen=np.array([4]))[0]).all()
