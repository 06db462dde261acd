"""Where a call of ours would come out otherwise, were it handed to another library as it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from attlas_ref.contract import Bound, bind
from attlas_ref.contract.binding import dtype_name
from attlas_ref.records import find

from ..arrays import KINDS, owner
from .call import band, two_axes
from .conventions import CONVENTIONS, LIBRARIES


@dataclass(frozen=True)
class _Facts:
    """What the conditions look at: the call, who sees whom, all on the host."""

    library: str
    call: Bound
    key: Any
    value: Any
    mask: Any
    bias: Any
    visible: Any
    """(..., m, n), mask and causal rule together."""

    @property
    def option(self) -> dict[str, Any]:
        return self.call.options

    @property
    def letter(self) -> dict[str, int]:
        return self.call.sizes

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.call.arrays[name].shape)

    def hidden(self, rows: Any) -> bool:
        """Whether a row that is not finite is hidden from some query."""
        if np.isfinite(rows).all():
            return False
        broken = ~np.isfinite(rows).all(axis=-1)  # (..., n)
        return bool((broken[..., None, :] & ~self.visible).any())

    def heads(self, name: str) -> int:
        shape = self.shape(name)
        return shape[-3] if len(shape) > 2 else 1


Condition = Callable[[_Facts], str | None]
"""Says in words what it is about a call that makes a convention matter; None where it does not."""


def _if(found: Any, words: str) -> str | None:
    return words if found else None


def _axes(call: _Facts) -> str | None:
    ranks = {len(call.shape(name)) for name in ("query", "key", "value")}
    if call.library in ("flash", "jax"):
        return f"the query has shape {call.shape('query')}"
    return _if(call.library == "onnx" and ranks != {4}, f"the query has {len(call.shape('query'))} axes")


def _empty(call: _Facts) -> str | None:
    empty = int((~call.visible.any(axis=-1)).sum()) if call.letter["n"] else 0
    return _if(empty, f"{empty} {'query sees' if empty == 1 else 'queries see'} nothing")


def _empty_by_bias(call: _Facts) -> str | None:
    if call.bias is None or not call.letter["n"]:
        return None
    empty = (~(call.visible & (call.bias > -np.inf)).any(axis=-1) & call.visible.any(axis=-1)).any()
    return _if(empty, "a bias of −∞ leaves a query nothing")


def _precision(call: _Facts, *names: str) -> str | None:
    dtypes = {dtype_name(array) for array in call.call.arrays.values()}
    found = sorted(dtype for dtype in dtypes if dtype.startswith(names))
    return _if(found, f"an array is {' and another '.join(found)}")


CONDITIONS: dict[str, Condition] = {
    "layout": _axes,
    "heads": lambda call: _if(call.heads("query") != call.heads("key"), "queries and keys differ in their heads"),
    "widths": lambda call: _if(call.letter["e"] != call.letter["d"], "values and keys differ in width"),
    "negative scale": lambda call: _if((call.option["scale"] or 0) < 0, "the scale is negative"),
    "causal": lambda call: _if(
        call.option["causal"] and call.letter["m"] != call.letter["n"],
        f"the call is causal with m = {call.letter['m']} and n = {call.letter['n']}",
    ),
    "boolean mask": lambda call: _if(call.mask is not None, "there is a mask"),
    "bias": lambda call: _if(call.bias is not None, "there is a bias"),
    "mask and causal": lambda call: _if(
        call.option["causal"] and call.mask is not None, "a mask and the causal rule come together"
    ),
    "empty row": _empty,
    "empty bias row": _empty_by_bias,
    "no keys": lambda call: _if(call.letter["n"] == 0, "there are no keys"),
    "hidden key": lambda call: _if(call.hidden(call.key), "a key that some query may not see is not finite"),
    "hidden value": lambda call: _if(call.hidden(call.value), "a value that some query may not see is not finite"),
    "cap": lambda call: _if(
        call.option.get("cap") and (call.library in ("pytorch", "jax") or call.bias is not None),
        "the scores are capped",
    ),
    "temperature": lambda call: _if(call.option.get("temperature", 1) != 1, "there is a temperature"),
    "float64": lambda call: _precision(call, "float64"),
    "half": lambda call: _precision(call, "float16", "bfloat16"),
    "integers": lambda call: _precision(call, "int", "uint", "bool"),
}
"""The conventions that a call can run into. Those that are missing are about options that we do not have."""


def differences(library: str, query: Any, key: Any, value: Any, **options: Any) -> tuple[str, ...]:
    """Say where a call of ours would come out otherwise in another library.

    Parameters
    ----------
    library : {"flash", "pytorch", "jax", "onnx"}
        Where the same arrays and options would go, under the names that they have there.
    query, key, value
        As `attlas.softmax_attention` takes them.
    **options
        Those of `attlas.softmax_attention`, or with `cap` of `attlas.softcapped_attention`.

    Returns
    -------
    tuple of str
        A sentence per matter: what it is about this call, what happens here and what happens there. Empty where the
        results are the same but for rounding.

    Raises
    ------
    ValueError, TypeError
        If there is no such library, or if the call is not valid.

    Notes
    -----
    The values are looked at: a NaN is reported only where a mask hides it.

    Examples
    --------
    >>> import numpy as np
    >>> query, key, value = np.ones((2, 4), "f4"), np.ones((3, 4), "f4"), np.ones((3, 5), "f4")
    >>> differences("pytorch", query, key, value)
    ()
    >>> for sentence in differences("jax", query, key, value, mask=np.array([[True], [False]]))[1:]:
    ...     print(sentence)
    Values and keys differ in width. Here: free. JAX: ValueError.
    1 query sees nothing. Here: zeros. JAX: the mean of all values.
    """
    if library not in LIBRARIES:
        raise ValueError(f"differences: library is {library!r}; it needs one of {', '.join(map(repr, LIBRARIES))}")
    name = "softcapped_attention" if options.get("cap") is not None else "softmax_attention"
    call = bind(find(name), (query, key, value), {k: v for k, v in options.items() if k != "cap" or v is not None})
    facts = _facts(library, call)
    sentences = []
    for convention in CONVENTIONS:
        cell = convention.cells[library]
        if cell.same or convention.name not in CONDITIONS:
            continue
        words = CONDITIONS[convention.name](facts)
        if words is not None:
            start = words[0].upper() + words[1:]
            sentences.append(f"{start}. Here: {convention.ours}. {LIBRARIES[library]}: {cell.text}.")
    return tuple(sentences)


def _facts(library: str, call: Bound) -> _Facts:
    def host(array: Any) -> Any:
        return None if array is None else KINDS["numpy"].receive(owner(array).export(array, None))

    key, value = (host(call.arrays[name]).astype(float) for name in ("key", "value"))
    mask, bias = (host(call.options[name]) for name in ("mask", "bias"))
    m, n = call.sizes["m"], call.sizes["n"]
    visible = np.ones((m, n), dtype=bool) if mask is None else np.broadcast_to(mask, (*mask.shape[:-2], m, n))
    if call.options["causal"]:
        visible = visible & band(key, m, n, n - m, right=0)
    return _Facts(library, call, key, value, mask, None if bias is None else two_axes(np, bias), visible)
