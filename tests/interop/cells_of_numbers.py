"""Cells about axes, scales, dtypes and options."""

import warnings
from typing import Any

import numpy as np
import pytest
from convention_checks import RNG, check, rows
from native import RUN, agree, biased, jax, onnx, plainly, pytorch

import attlas_ref
from attlas.interop import onnx_attention


@check("layout")
def _(library: str) -> None:
    arrays = rows(3, 5, heads=2)
    assert agree(RUN[library](*arrays), plainly(*arrays))  # (b, m, h, d) for JAX: see `native`
    if library == "pytorch":
        query, key, value = RNG.normal(size=(3, 2, 1, 3, 4, 4)).astype(np.float32)
        assert agree(pytorch(query, key[:1], value[0]), plainly(query, key[:1], value[0]))
    elif library == "jax":
        with pytest.raises(ValueError, match="shape"):
            jax(np.repeat(arrays[0], 2, axis=0), *arrays[1:])
        alone = [np.swapaxes(x[0], 0, 1) for x in arrays]
        import jax as library_itself

        assert library_itself.nn.dot_product_attention(*alone).shape == (3, 2, 4)
    else:
        flat = [np.swapaxes(x, 1, 2).reshape(1, -1, 8) for x in arrays]
        result = onnx_attention(*flat, q_num_heads=2, kv_num_heads=2)
        assert agree(result, np.swapaxes(plainly(*arrays), 1, 2).reshape(1, 3, 8))


@check("heads")
def _(library: str) -> None:
    query, key, value = RNG.normal(size=(1, 4, 3, 4)), *RNG.normal(size=(2, 1, 2, 3, 4))
    query, key, value = (x.astype(np.float32) for x in (query, key, value))
    expected = plainly(query, np.repeat(key, 2, axis=1), np.repeat(value, 2, axis=1))
    ours = attlas_ref.softmax_attention(query.reshape(1, 2, 2, 3, 4), key[:, :, None], value[:, :, None])
    assert agree(ours.reshape(1, 4, 3, 4), expected)
    if library == "pytorch":
        with pytest.raises(RuntimeError):
            pytorch(query, key, value)
        assert agree(pytorch(query, key, value, enable_gqa=True), expected)
    else:
        assert agree(RUN[library](query, key, value), expected)


@check("widths")
def _(library: str) -> None:
    arrays = rows(3, 5, 4, 6)
    if library == "jax":
        with pytest.raises(ValueError, match="value shape"):
            jax(*arrays)
    else:
        assert agree(RUN[library](*arrays), plainly(*arrays))
    if library == "pytorch":
        with pytest.raises(RuntimeError, match="No available kernel"), warnings.catch_warnings(action="ignore"):
            pytorch(*arrays, plain=False)


@check("scale")
def _(library: str) -> None:
    arrays = rows(3, 5)
    assert agree(RUN[library](*arrays), plainly(*arrays))
    assert agree(RUN[library](*arrays, scale=2.0), plainly(*arrays, scale=2.0))


@check("negative scale")
def _(library: str) -> None:
    arrays = rows(3, 5)
    result = RUN[library](*arrays, scale=-0.7)
    if library == "onnx":
        assert np.isnan(result).all()
    else:
        assert agree(result, plainly(*arrays, scale=-0.7))


@check("cap")
def _(library: str) -> None:
    arrays, bias = rows(3, 5), RNG.normal(size=(1, 1, 3, 5)).astype(np.float32)
    if library == "onnx":
        scores = arrays[0] @ arrays[1].swapaxes(-1, -2)
        bent = 1.5 * np.tanh(scores / 2 / 1.5) + bias
        assert agree(onnx(*arrays, bias, softcap=1.5), plainly(*arrays, bias=bent, scale=0.0))
    else:
        with pytest.raises(TypeError):
            RUN[library](*arrays, softcap=1.5)


@check("temperature")
def _(library: str) -> None:
    arrays, bias = rows(3, 5), RNG.normal(size=(1, 1, 3, 5)).astype(np.float32)
    with pytest.raises((TypeError, AttributeError)):
        RUN[library](*arrays, temperature=2.0)
    divided = RUN[library](*arrays, scale=0.25, **biased(library, bias / 2))
    assert agree(divided, attlas_ref.softmax_attention(*arrays, bias=bias, temperature=2.0))


@check("dropout")
def _(library: str) -> None:
    arrays = rows(3, 50)
    if library == "pytorch":
        assert not agree(pytorch(*arrays, dropout_p=0.9), pytorch(*arrays))
    else:
        with pytest.raises((TypeError, AttributeError)):
            RUN[library](*arrays, dropout_p=0.9)


@check("weights")
def _(library: str) -> None:
    arrays = rows(3, 5)
    weights = attlas_ref.softmax_attention(*arrays, return_weights=True).weights
    if library == "pytorch":
        with pytest.raises(TypeError):
            pytorch(*arrays, return_weights=True)
    elif library == "jax":
        import jax as library_itself

        swapped = (np.swapaxes(x, 1, 2) for x in arrays)
        partition = library_itself.nn.dot_product_attention(*swapped, return_residual=True)[1]
        assert agree(np.asarray(partition)[0, :, 0], -attlas_ref.attention_energy(*arrays[:2])[0, 0])
    else:
        from onnx.reference.ops.op_attention import _compute_attention as attention

        assert agree(attention(*arrays, qk_matmul_output_mode=3)[3], weights)


@check("float64")
def _(library: str, double_precision: Any) -> None:
    arrays = rows(50, 50, 8, dtype=np.float64)
    if library == "jax":
        assert jax(*arrays).dtype == np.float32
        with double_precision():
            result = jax(*arrays)
    else:
        result = RUN[library](*arrays)
    error = np.abs(result - plainly(*arrays)).max()
    assert result.dtype == np.float64
    assert (error > 1e-9) if library == "jax" else (error < 1e-14)


@check("half")
def _(library: str) -> None:
    arrays = rows(50, 50, 8, dtype=np.float16)
    expected = plainly(*arrays).astype(np.float16)
    assert (attlas_ref.softmax_attention(*arrays) == expected).mean() > 0.99
    result = RUN[library](*arrays)
    assert result.dtype == np.float16
    assert (result == expected).mean() < (0.6 if library == "onnx" else 0.9)


@check("integers")
def _(library: str) -> None:
    arrays = [np.round(3 * x).astype(np.int32) for x in rows(3, 5)]
    if library == "pytorch":
        with pytest.raises(RuntimeError):
            pytorch(*arrays)
    else:
        result = RUN[library](*arrays)
        assert result.dtype == np.int32
        assert (result == 0).mean() > 0.5
    assert agree(attlas_ref.softmax_attention(*arrays), plainly(*arrays))
