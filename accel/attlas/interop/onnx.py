"""ONNX: the operator `Attention` (since opset 23), computed by `onnx.reference`."""

from typing import Any

from .call import Call, band, functions_of, in_groups, one_of_cap_and_bias, ours, together
from .jax import swapped

FUNCTION = "attlas.interop.onnx_attention"


def to_onnx(
    query: Any,
    key: Any,
    value: Any,
    *,
    cap: float | None = None,
    temperature: float = 1.0,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
) -> Call:
    """Turn a call of `attlas.softmax_attention`, or with `cap` of `softcapped_attention`, into ONNX's `Attention`.

    The operator has four axes, a causal rule that is aligned with the first key as long as there is no cache, and a
    scale whose root it takes. So leading axes become two, mask and rule become one `attn_mask`, and a scale that is not
    the default goes into the queries. Where there is no key at all, a hidden one is added.

    Parameters
    ----------
    query, key, value, cap, temperature, scale, mask, bias, causal
        As ours take them. With `cap` neither `bias` nor `temperature` may be given.

    Returns
    -------
    Call
        NumPy arrays (Q, K, V and `attn_mask` where there is one) and the attributes of the node: for `onnx_attention`,
        or for a node of your own.

    Raises
    ------
    ValueError, TypeError
        As ours; ValueError if cap and bias come together.
    """
    one_of_cap_and_bias("to_onnx", cap, bias)
    if cap is not None and temperature != 1:
        raise ValueError(f"to_onnx: temperature is {temperature}; it needs to be 1 where a cap is given")
    call = ours(
        *("numpy", query, key, value),
        cap=cap,
        temperature=temperature,
        scale=scale,
        mask=mask,
        bias=bias,
        causal=causal,
    )
    xp = call.xp
    query, key, value = call.query, call.key, call.value
    pairs, attributes = call.additive(), {} if cap is None else {"softcap": float(cap)}
    if call.scale is not None:
        # The attribute is a float32 of which the root is taken: too short for float64, and never negative.
        query = query * query.dtype.type(call.scale * call.sizes["d"] ** 0.5)
    if call.sizes["n"] == 0:
        key, value = (xp.zeros((*x.shape[:-2], 1, x.shape[-1]), dtype=x.dtype) for x in (key, value))
        inputs = [xp.zeros((1, 1, call.sizes["m"], 1), dtype=bool)]
    else:
        inputs = [] if call.square or pairs is None else [call.pairs(pairs)]
    if call.square:
        attributes["is_causal"] = 1
    arrays = (*map(call.heads, (query, key, value)), *inputs)
    return Call(FUNCTION, arrays, attributes, lambda output: call.give(call.attended(call.rows(output))))


def from_onnx(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    past_key: Any = None,
    past_value: Any = None,
    nonpad_kv_seqlen: Any = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
) -> Call:
    """Turn the inputs and attributes of an `Attention` node into a call of ours.

    Parameters
    ----------
    query, key, value, attn_mask, past_key, past_value, nonpad_kv_seqlen
        The inputs, Q, K and V as (b, h, m, d), or as (b, m, h d) with `q_num_heads` and `kv_num_heads`.
    is_causal, kv_num_heads, left_window_size, q_num_heads, right_window_size, scale, softcap
        The attributes.

    Returns
    -------
    Call
        Of `attlas.softmax_attention`, or of `attlas.softcapped_attention` where `softcap` is above 0.

    Raises
    ------
    ValueError
        If a softcap and numbers as `attn_mask` come together.

    Examples
    --------
    With a cache of two keys the rule is aligned at the end, as it is here:

    >>> import numpy as np
    >>> new, past = np.ones((1, 1, 2, 4)), np.ones((1, 1, 2, 4))
    >>> from_onnx(new, new, new, past_key=past, past_value=past, is_causal=1).options["mask"].astype(int)
    array([[1, 1, 1, 0],
           [1, 1, 1, 1]])
    """
    xp, flat = functions_of(query), query.ndim == 3
    if flat:
        query, key, value = (
            swapped(xp, xp.reshape(x, (*x.shape[:2], heads, -1)))
            for x, heads in ((query, q_num_heads), (key, kv_num_heads), (value, kv_num_heads))
        )
    cached = 0
    if past_key is not None:
        key, value = (xp.concat(pair, axis=2) for pair in ((past_key, key), (past_value, value)))
        cached = past_key.shape[2]
    m, n = query.shape[2], key.shape[2]
    offset: Any = cached
    if nonpad_kv_seqlen is not None:
        lengths = nonpad_kv_seqlen[:, None, None, None]
        offset = lengths - m
    if attn_mask is not None and attn_mask.shape[-1] < n:  # what it does not speak of is hidden
        missing = (*attn_mask.shape[:-1], n - attn_mask.shape[-1])
        boolean = "bool" in str(attn_mask.dtype)
        fill = xp.zeros(missing, dtype=bool) if boolean else xp.full(missing, -float("inf"), dtype=attn_mask.dtype)
        attn_mask = xp.concat([attn_mask, fill], axis=-1)
    boolean = attn_mask is not None and "bool" in str(attn_mask.dtype)
    windows = {"left": left_window_size, "right": right_window_size}
    bounds = {side: size for side, size in windows.items() if size >= 0}
    visible = together(
        attn_mask if boolean else None,
        band(query, m, n, offset, right=0) if is_causal else None,
        band(query, m, n, offset, **bounds) if bounds else None,
        None if nonpad_kv_seqlen is None else xp.arange(n) < lengths,
    )
    bias = None if boolean else attn_mask
    one_of_cap_and_bias("from_onnx", softcap or None, bias)
    shape = (*query.shape[:-1], value.shape[-1])
    *arrays, bias, visible = in_groups(xp, query, key, value, bias, visible)
    options = {"scale": scale, "bias": bias, "mask": visible, "cap": softcap or None}

    def back(output: Any) -> Any:
        output = xp.reshape(output, shape)
        return xp.reshape(swapped(xp, output), (shape[0], m, -1)) if flat else output

    return Call(
        "attlas.softcapped_attention" if softcap else "attlas.softmax_attention",
        tuple(arrays),
        {name: option for name, option in options.items() if option is not None},
        back,
    )


def onnx_attention(query: Any, key: Any, value: Any, attn_mask: Any = None, **attributes: Any) -> Any:
    """Compute one `Attention` node with the evaluator of the package `onnx`.

    Parameters
    ----------
    query, key, value, attn_mask
        NumPy arrays, the inputs Q, K, V and `attn_mask`.
    **attributes
        Those of the node.

    Returns
    -------
    array
        The node's first output.
    """
    from onnx.helper import make_node
    from onnx.reference import ReferenceEvaluator

    inputs = {"Q": query, "K": key, "V": value, **({} if attn_mask is None else {"attn_mask": attn_mask})}
    node = make_node("Attention", list(inputs), ["Y"], **attributes)
    outputs: Any = ReferenceEvaluator(node).run(None, inputs)
    return outputs[0]
