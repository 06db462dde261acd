"""JAX: `jax.nn.dot_product_attention`."""

from typing import Any

from .call import Call, band, functions_of, in_groups, ours, together, widened

FUNCTION = "jax.nn.dot_product_attention"


def to_jax(
    query: Any,
    key: Any,
    value: Any,
    *,
    temperature: float = 1.0,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
) -> Call:
    """Turn a call of `attlas.softmax_attention` into one of `jax.nn.dot_product_attention`.

    JAX has the heads behind the rows, one width for all three arrays, its causal rule aligned with the first key, and
    gives the mean of all values where nothing is visible. So the axes are moved, the narrower arrays filled up with
    zeros, the rule becomes a mask, and `back` cuts off what was filled up and puts zeros where nothing is visible. A
    bias of -inf joins the mask.

    Parameters
    ----------
    query, key, value, temperature, scale, mask, bias, causal
        As `attlas.softmax_attention` takes them. The last leading axis becomes the heads, those before it the batch.

    Returns
    -------
    Call
        JAX arrays and keywords. `back` takes the result to the caller's shape and kind of array.

    Raises
    ------
    ValueError, TypeError
        As `attlas.softmax_attention`.

    Notes
    -----
    JAX computes the softmax in float32 even for float64. A NaN or infinity in a value that some queries see and others
    do not reaches all of them.
    """
    call = ours(*("jax", query, key, value), temperature=temperature, scale=scale, mask=mask, bias=bias, causal=causal)
    xp, d, e = call.xp, call.sizes["d"], call.sizes["e"]
    scale = call.scale
    if e > d and scale is None:
        scale = d**-0.5  # JAX would take the root of the width that it is shown
    arrays = (swapped(xp, call.heads(widened(xp, x, max(d, e)))) for x in (call.query, call.key, call.value))
    options: dict[str, Any] = {} if scale is None else {"scale": scale}
    visible = None if call.square else call.visible
    if call.square:
        options["is_causal"] = True
    if call.bias is not None:
        possible = call.bias != -float("inf")
        visible = together(visible, possible)
        options["bias"] = call.pairs(xp.where(possible, call.bias, 0))
    if visible is not None:
        options["mask"] = call.pairs(visible)
    return Call(
        FUNCTION, tuple(arrays), options, lambda output: call.give(call.attended(call.rows(swapped(xp, output))))
    )


def from_jax(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: Any = None,
    key_value_seq_lengths: Any = None,
    local_window_size: int | tuple[int, int] | None = None,
) -> Call:
    """Turn a call of `jax.nn.dot_product_attention` into one of `attlas.softmax_attention`.

    Parameters
    ----------
    query, key, value, bias, mask, scale, is_causal, query_seq_lengths, key_value_seq_lengths, local_window_size
        As JAX takes them: (b, m, h, d), or without the batch.

    Returns
    -------
    Call
        A query that sees nothing gets zeros, where JAX returns the mean of all values.

    Examples
    --------
    >>> import numpy as np
    >>> query, key, value = np.ones((1, 2, 8, 4)), np.ones((1, 3, 2, 4)), np.ones((1, 3, 2, 4))
    >>> call = from_jax(query, key, value, key_value_seq_lengths=np.array([2]))
    >>> [x.shape for x in call.arrays]  # 4 queries share each of 2 key heads
    [(1, 2, 4, 2, 4), (1, 2, 1, 3, 4), (1, 2, 1, 3, 4)]
    >>> call.options["mask"].ravel()
    array([ True,  True, False])
    """
    xp = functions_of(query)
    m, n = query.shape[-3], key.shape[-3]
    shape = (*tuple(query.shape[:-3]), query.shape[-2], m, value.shape[-1])
    sides = (local_window_size,) * 2 if isinstance(local_window_size, int) else local_window_size
    visible = together(
        mask,
        band(query, m, n, 0, right=0) if is_causal else None,
        None if sides is None else band(query, m, n, 0, left=sides[0], right=sides[1]),
        None if query_seq_lengths is None else xp.arange(m)[:, None] < query_seq_lengths[:, None, None, None],
        None if key_value_seq_lengths is None else xp.arange(n) < key_value_seq_lengths[:, None, None, None],
    )
    rows = (swapped(xp, x) for x in (query, key, value))
    *arrays, bias, visible = in_groups(xp, *rows, bias, visible)
    options = {"scale": scale, "bias": bias, "mask": visible}
    return Call(
        "attlas.softmax_attention",
        tuple(arrays),
        {name: option for name, option in options.items() if option is not None},
        lambda output: swapped(xp, xp.reshape(output, shape)),
    )


def swapped(xp: Any, array: Any) -> Any:
    """Return an array with rows and heads in each other's place."""
    *before, rows, heads, width = range(array.ndim)
    return xp.permute_dims(array, (*before, heads, rows, width))
