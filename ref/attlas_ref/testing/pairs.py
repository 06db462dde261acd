"""Masks and biases of a plan, who sees whom in a call, and what stands where nobody sees."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import Array, Indices, parse_signature
from ..records import Record, find
from .plan import Call, Plan, dtype_named


def mask_of(
    kind: str, core: tuple[int, ...], leading: tuple[int, ...], plan: Plan, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw a mask of a kind of `MASKS` with these leading axes that broadcasts to a core."""
    if kind in ("full", "nothing"):
        return np.full(core, kind == "full")
    few = {"keys": (*leading, *(1 for _ in core[:-1]), *core[-1:]), "queries": (*core[:-1], 1), "shared": core}
    shape = few.get(kind, (*leading, *core))
    mask = rng.random(shape) < 0.6
    if kind == "rows":
        mask &= rng.random((*shape[:-1], 1)) < 0.6
    if kind == "columns":
        mask &= rng.random(shape[-1:]) < 0.6
    return mask


def bias_of(
    kind: str, core: tuple[int, ...], leading: tuple[int, ...], plan: Plan, rng: np.random.Generator
) -> NDArray[Any]:
    """Draw a bias of a kind of `BIASES` with these leading axes that broadcasts to a core."""
    shape = {"keys": core[-1:], "shared": core, "half": core}.get(kind, (*leading, *core))
    bias = rng.standard_normal(shape)
    if kind == "hides":
        bias = np.where(rng.random(shape) < 0.3, -np.inf, bias)
    if kind == "negative":
        bias -= 1e4
    if kind == "half":
        return bias.astype(np.float16)
    return bias.astype(np.float64 if plan.dtype.startswith("int") else dtype_named(plan.dtype))


def visible_in(call: Call) -> NDArray[np.bool_]:
    """Which query sees which key in a dense call, at full shape (..., m, n)."""
    visible = rule_of(call)
    record = find(call.name)
    given = list(zip(call.arrays, parse_signature(record.signature).inputs, strict=True))
    for name, option in record.options.items():
        if isinstance(option, Array | Indices) and not isinstance(call.options.get(name), str | None):
            given.append((np.asarray(call.options[name]), option.core))
    leading = np.broadcast_shapes(*(array.shape[: max(0, array.ndim - len(core))] for array, core in given))
    return np.broadcast_to(visible, (*leading, *visible.shape[-2:])).copy()


def rule_of(call: Call) -> NDArray[np.bool_]:
    """The same with the leading axes of the mask alone, (m, n) if there is none."""
    query, key = call.arrays[:2]
    m, n = query.shape[-2], key.shape[-2]
    visible = np.ones((m, n), dtype=bool)
    if call.options.get("causal"):
        offset = n - m
        if "query_offset" in find(call.name).options:
            offset = call.options.get("query_offset", 0) - call.options.get("key_offset", 0)
        visible &= np.arange(n) <= np.arange(m)[:, None] + offset
    mask = call.options.get("mask")
    return visible if mask is None else visible & mask


def is_dense(record: Record) -> bool:
    """Whether a formulation has queries, keys and a mask between them."""
    known = ("query", "key", "value", "grad_output")
    return record.takes == known[: len(record.takes)] and {"mask", "bias", "causal"} <= set(record.options)


def planted(call: Call, record: Record, what: float) -> Call:
    """Put a NaN or infinity wherever no pair that is visible can reach it."""
    visible = visible_in(call)
    seen = {"query": visible.any(-1), "key": visible.any(-2), "value": visible.any(-2), "grad_output": visible.any(-1)}
    arrays = []
    for name, array in zip(record.takes, call.arrays, strict=True):
        used = _any_to(seen[name], array.shape[:-1])
        arrays.append(np.where(used[..., None], array, what))
    options = dict(call.options)
    if options.get("bias") is not None:
        bias = options["bias"]
        options["bias"] = np.where(_any_to(visible, bias.shape), bias, bias.dtype.type(what))
    return Call(call.name, tuple(arrays), options)


def _any_to(seen: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether any of the entries that broadcasting made of one entry is True."""
    padded = (1,) * (seen.ndim - len(shape)) + shape
    axes = tuple(axis for axis, size in enumerate(padded) if size == 1)
    return seen.any(axis=axes, keepdims=True).reshape(shape)
