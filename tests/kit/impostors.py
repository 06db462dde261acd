"""Functions that pose as softmax attention, each with one fault of the kind that kernels have.

`streamed` is a correct implementation, a block of keys at a time; each impostor is the same with one line changed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

BLOCK = 4


def streamed(
    query: Any,
    key: Any,
    value: Any,
    *,
    temperature: float = 1.0,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    return_weights: bool = False,
    fault: str = "",
) -> Any:
    """Softmax attention over blocks of keys with a running maximum."""
    given = [np.asarray(array) for array in (query, key, value)]
    dtype = np.result_type(*given) if all(array.dtype.kind == "f" for array in given) else np.dtype(np.float64)
    compute = np.dtype(np.float32) if dtype == np.float16 or fault == "float32 for float64" else dtype
    if fault == "float16 sums":
        compute = dtype
    query, key, value = (array.astype(compute) for array in given)
    if fault == "a stride":
        key = np.ascontiguousarray(given[1].T).reshape(key.shape) if given[1].strides[-1] < 0 else key
    m, n, e = query.shape[-2], key.shape[-2], value.shape[-1]
    scored = [query, key, *(array for array in (mask, bias) if array is not None)]
    rows = np.broadcast_shapes(*(array.shape[:-2] for array in scored))
    leading = np.broadcast_shapes(rows, value.shape[:-2])
    factor = 1 / np.sqrt(query.shape[-1]) if scale is None or fault == "the scale" else scale
    visible = np.ones((*leading, m, n), dtype=bool)
    if causal:
        visible &= np.arange(n) <= np.arange(m)[:, None] + (0 if fault == "causal alignment" else n - m)
    if mask is not None:
        visible &= mask
        if fault == "the mask of one row" and m:
            visible[..., -1, :] |= ~np.asarray(mask).all()
    scores = (float(factor) * (query @ key.mT)).astype(compute)
    if bias is not None and fault != "the bias":
        scores = scores + bias.astype(compute)
    scores = np.broadcast_to(scores / (1.0 if fault == "the temperature" else temperature), visible.shape).astype(
        compute
    )

    running_max = np.full((*leading, m, 1), -np.inf, dtype=compute)
    running_sum = np.zeros((*leading, m, 1), dtype=compute)
    accumulator = np.zeros((*leading, m, e), dtype=compute)
    end = n - n % BLOCK if fault == "the last partial block" else n
    for start in range(0, end, BLOCK):
        block = slice(start, start + BLOCK)
        seen = visible[..., block]
        s = np.where(seen, scores[..., block], -np.inf)
        new_max = np.maximum(running_max, s.max(axis=-1, keepdims=True))
        shift = np.where(new_max == -np.inf, 0, new_max)
        rescale = np.exp(running_max - shift)
        if fault == "the rescale":
            rescale = np.ones_like(rescale)
        p = np.exp(s - shift) if fault == "NaN behind the mask" else np.where(seen, np.exp(s - shift), 0)
        running_sum = rescale * running_sum + p.sum(axis=-1, keepdims=True)
        values = value[..., block, :]
        added = p @ values if fault == "NaN behind the mask" else _visible_sum(p, seen, values)
        accumulator = rescale * accumulator + added
        running_max = new_max
    empty = running_sum == 0
    output = accumulator / (running_sum if fault == "the empty row" else np.where(empty, 1, running_sum))
    if not return_weights:
        return output.astype(dtype)
    from attlas_ref.contract import AttentionResult

    if rows != leading:  # values have leading axes of their own, which weights lack
        options: dict[str, Any] = {"temperature": temperature, "scale": scale, "mask": mask, "bias": bias}
        options |= {"causal": causal, "return_weights": True, "fault": fault}
        weights = streamed(given[0], given[1], np.zeros((n, 0), dtype=given[2].dtype), **options).weights
        return AttentionResult(output.astype(dtype), weights.astype(dtype))
    shift = np.where(running_max == -np.inf, 0, running_max)
    weights = np.where(visible, np.exp(scores - shift) / np.where(empty, 1, running_sum), 0)
    return AttentionResult(output.astype(dtype), weights.astype(dtype))


def _visible_sum(weights: Any, seen: Any, value: Any) -> Any:
    return np.where(seen[..., None], weights[..., None] * value[..., None, :, :], 0).sum(axis=-2)


def quietly(function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """Call a function without warnings about NaN, as an engine would."""

    def call(*arrays: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arrays, **options, **fixed)

    return call


FAULTS = (
    "the rescale",
    "the last partial block",
    "causal alignment",
    "the mask of one row",
    "NaN behind the mask",
    "the empty row",
    "a stride",
    "the scale",
    "the bias",
    "the temperature",
    "float32 for float64",
    "float16 sums",
)
