"""A call on its way from one library to another, and what the conversions share."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import numpy as np

from attlas_ref.contract import bind
from attlas_ref.records import find

from ..arrays import KINDS, kind_of_call

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """The arguments of a function, and the way back of its result."""

    function: str
    """The function that is to be called."""
    arrays: tuple[Any, ...]
    """What it takes by position."""
    options: dict[str, Any]
    """What it takes by keyword."""
    back: Callable[[Any], Any]
    """Brings its result into the layout, the kind of array and the conventions of the one who asked."""

    def run(self, function: Callable[..., Any]) -> Any:
        """Call `function` with these arguments and return its result, brought back."""
        return self.back(function(*self.arrays, **self.options))


@dataclass(frozen=True)
class Ours:
    """A checked call of `softmax_attention` or `softcapped_attention`, in the arrays of another library.

    What every library needs is done here: the temperature is in the scale and in the bias, mask and causal rule are
    one array, and keys that nobody may see hold zeros where they held NaN or infinities.
    """

    xp: Any
    """The functions on its arrays, under the names of the array API standard."""
    query: Any
    key: Any
    value: Any
    scale: float | None
    """The factor of the dot products, None for 1/√d."""
    visible: Any
    """Booleans, broadcastable to (..., m, n); None if every query sees every key."""
    bias: Any
    square: bool
    """Whether nothing but the causal rule hides anything, with as many queries as keys: there all libraries agree."""
    batch: Axes
    sizes: dict[str, int]
    give: Callable[[Any], Any]
    """Makes a result the kind and dtype of the caller's arrays."""

    def attended(self, output: Any) -> Any:
        """Return the output with zeros for each query that sees nothing."""
        attended = self.visible
        if self.bias is not None:
            possible = self.bias != -float("inf")
            attended = possible if attended is None else attended & possible
        if attended is None:
            return output
        return self.xp.where(self.xp.any(attended, axis=-1)[..., None], output, self.xp.zeros_like(output))

    def additive(self) -> Any:
        """Return mask and bias as one array: booleans, or numbers to be added; None if there is neither."""
        if self.bias is None or self.visible is None:
            return self.visible if self.bias is None else self.bias
        return self.xp.where(self.visible, self.bias, -float("inf"))

    def heads(self, array: Any) -> Any:
        """Return an array with exactly two leading axes, batch and heads."""
        core = tuple(array.shape[-2:])
        return self.xp.reshape(self.xp.broadcast_to(array, (*self.batch, *core)), (*self.lead, *core))

    def pairs(self, array: Any) -> Any:
        """Return a mask or a bias as (batch, heads, m, n)."""
        m, n = self.sizes["m"], self.sizes["n"]
        return self.heads(self.xp.broadcast_to(array, (*tuple(array.shape[:-2]), m, n)))

    @property
    def lead(self) -> Axes:
        """Batch and heads: the last leading axis is the heads."""
        return prod(self.batch[:-1]), self.batch[-1] if self.batch else 1

    def rows(self, output: Any) -> Any:
        """Return (batch, heads, m, width) as (..., m, e)."""
        m, e = self.sizes["m"], self.sizes["e"]
        return self.xp.reshape(output[..., :e], (*self.batch, m, e))


def ours(kind: str | None, query: Any, key: Any, value: Any, *, temperature: float = 1.0, **options: Any) -> Ours:
    """Check a call and bring it into arrays of a kind, or of its own."""
    capped = options.get("cap") is not None
    if not capped:
        options.pop("cap", None)
        options["temperature"] = temperature
    name = "softcapped_attention" if capped else "softmax_attention"
    call = bind(find(name), (query, key, value), options)
    like, device = kind_of_call(call)
    target = like if kind is None or like.name.startswith(kind) else KINDS[f"{kind}-cpu" if kind != "numpy" else kind]

    def take(array: Any, dtype: str | None = call.dtype) -> Any:
        plain = like.export(array, dtype if target is like else None)
        if isinstance(plain, np.ndarray) and any(step < 0 for step in plain.strides):
            plain = plain.copy()  # PyTorch knows no rows in reverse
        return target.receive(plain, dtype)

    query, key, value = map(take, call.arrays.values())
    xp = functions_of(query)
    mask, bias = (call.options[name] for name in ("mask", "bias"))
    mask = None if mask is None else two_axes(xp, take(mask, None))
    bias = None if bias is None else two_axes(xp, take(bias)) / temperature
    causal, (m, n) = call.options["causal"], (call.sizes[letter] for letter in "mn")
    visible = together(mask, band(query, m, n, n - m, right=0) if causal else None)
    scale = call.options["scale"]
    if temperature != 1:
        scale = (1 / sqrt(call.sizes["d"]) if scale is None else scale) / temperature
    return Ours(
        xp=xp,
        query=query,
        key=without_what_nobody_sees(key, visible),
        value=without_what_nobody_sees(value, visible),
        scale=scale,
        visible=visible,
        bias=bias,
        square=causal and mask is None and bias is None and m == n,
        batch=call.batch,
        sizes=call.sizes,
        give=lambda output: like.receive(target.export(output, None), call.dtype, device),
    )


def functions_of(array: Any) -> Any:
    """Return the functions on arrays of this library."""
    from array_api_compat import array_namespace

    return array_namespace(array)


def two_axes(xp: Any, pairs: Any) -> Any:
    """Return a mask or a bias with at least the axes of the queries and of the keys."""
    return xp.reshape(pairs, (1,) * (2 - pairs.ndim) + tuple(pairs.shape)) if pairs.ndim < 2 else pairs


def together(*masks: Any) -> Any:
    """Return what all masks let through; None if there is none."""
    given = [mask for mask in masks if mask is not None]
    visible = given[0] if given else None
    for mask in given[1:]:
        visible = visible & mask
    return visible


def band(like: Any, m: int, n: int, offset: Any, *, left: int | None = None, right: int | None = None) -> Any:
    """Return which of n keys is at most `left` before and `right` behind the place i + offset of query i.

    None is no bound. `offset` is a number, or an array that broadcasts with (m, n). The causal rule is `right=0`: with
    the offset n - m the last query sees the last key, with 0 the first query the first.
    """
    xp, device = functions_of(like), getattr(like, "device", None)
    distance = xp.arange(n, device=device) - (xp.arange(m, device=device)[:, None] + offset)
    inside = xp.ones(tuple(distance.shape), dtype=bool, device=device)
    if left is not None:
        inside = inside & (distance >= -left)
    return inside if right is None else inside & (distance <= right)


def without_what_nobody_sees(rows: Any, visible: Any) -> Any:
    """Return keys or values with zeros where no query may look and something is not finite.

    Other libraries multiply what is hidden by a weight of 0, which leaves a NaN a NaN.
    """
    xp = functions_of(rows)
    if visible is None or bool(xp.all(xp.isfinite(rows))):
        return rows
    seen = xp.any(visible, axis=-2)[..., None]  # (..., n, 1)
    return xp.where(seen, rows, xp.zeros_like(rows))


def widened(xp: Any, array: Any, width: int) -> Any:
    """Return an array with columns of zeros behind its own: they change no dot product, and are cut off again."""
    missing = width - array.shape[-1]
    if missing == 0:
        return array
    zeros = xp.zeros((*tuple(array.shape[:-1]), missing), dtype=array.dtype, device=getattr(array, "device", None))
    return xp.concat([array, zeros], axis=-1)


def no_dropout(function: str, probability: float) -> None:
    """Refuse a call that drops weights at random."""
    if probability:
        raise ValueError(
            f"{function}: dropout_p is {probability}; it needs 0, since no call here drops weights at random"
        )


def one_of_cap_and_bias(function: str, cap: float | None, bias: Any) -> None:
    """Refuse a call with both: elsewhere the cap comes before what is added, here behind it."""
    if cap is not None and bias is not None:
        raise ValueError(
            f"{function}: cap and a bias come together; it needs one of them, since the cap bends the scores after the "
            "bias here and before it there"
        )


def in_groups(xp: Any, query: Any, *others: Any) -> tuple[Any, ...]:
    """Return queries and what goes with them as (..., key heads, queries per key head, rows, columns).

    Where there are more query heads than key heads, consecutive queries share a key head; the keys then broadcast.
    """
    key_heads = others[0].shape[-3]
    if query.shape[-3] == key_heads:
        return query, *others
    each = query.shape[-3] // key_heads

    def grouped(array: Any) -> Any:
        if array is None or array.ndim < 3:
            return array
        *before, heads, rows, columns = array.shape
        split = (key_heads, each) if heads == key_heads * each else (heads, 1)
        return xp.reshape(array, (*before, *split, rows, columns))

    return tuple(map(grouped, (query, *others)))
