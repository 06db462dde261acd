"""PyTorch: `torch.nn.functional.scaled_dot_product_attention`."""

from typing import Any

from .call import Call, band, functions_of, in_groups, no_dropout, ours, together

FUNCTION = "torch.nn.functional.scaled_dot_product_attention"


def to_pytorch(
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
    """Turn a call of `attlas.softmax_attention` into one of PyTorch's `scaled_dot_product_attention`.

    Mask, causal rule and bias become one `attn_mask`, since PyTorch aligns its own causal rule with the first key and
    takes it together with a mask on some kernels only. Where the rule alone hides something and m = n it stays
    `is_causal=True`, which the fused kernels know.

    Parameters
    ----------
    query, key, value, temperature, scale, mask, bias, causal
        As `attlas.softmax_attention` takes them; tensors stay on their device.

    Returns
    -------
    Call
        Tensors and keywords. `back` takes the resulting tensor to the caller's kind of array.

    Raises
    ------
    ValueError, TypeError
        As `attlas.softmax_attention`.

    Notes
    -----
    A NaN or infinity in a key that some queries see and others do not still reaches all of them.
    """
    call = ours(
        *("torch", query, key, value), temperature=temperature, scale=scale, mask=mask, bias=bias, causal=causal
    )
    options: dict[str, Any] = {} if call.scale is None else {"scale": call.scale}
    if call.square:
        options["is_causal"] = True
    elif (pairs := call.additive()) is not None:
        options["attn_mask"] = pairs
    return Call(FUNCTION, (call.query, call.key, call.value), options, lambda output: call.give(call.attended(output)))


def from_pytorch(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Call:
    """Turn a call of PyTorch's `scaled_dot_product_attention` into one of `attlas.softmax_attention`.

    Parameters
    ----------
    query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa
        As PyTorch takes them. `dropout_p` needs to be 0.

    Returns
    -------
    Call
        With `enable_gqa` the query heads that share a key head get an axis of their own, along which the keys
        broadcast; nothing is repeated.

    Examples
    --------
    The first query sees the first key, so the rule becomes a mask where m differs from n:

    >>> import numpy as np
    >>> call = from_pytorch(np.ones((2, 4)), np.ones((3, 4)), np.ones((3, 5)), is_causal=True)
    >>> call.options["mask"].astype(int)
    array([[1, 0, 0],
           [1, 1, 0]])
    """
    no_dropout("from_pytorch", dropout_p)
    xp = functions_of(query)
    shape = (*tuple(query.shape[:-1]), value.shape[-1])
    if enable_gqa:
        query, key, value, attn_mask = in_groups(xp, query, key, value, attn_mask)
    options: dict[str, Any] = {} if scale is None else {"scale": scale}
    boolean = attn_mask is not None and "bool" in str(attn_mask.dtype)
    if attn_mask is not None and not boolean:
        options["bias"] = attn_mask
    m, n = query.shape[-2], key.shape[-2]
    if is_causal and m == n:
        options["causal"] = True
    early = band(query, m, n, 0, right=0) if is_causal and m != n else None
    visible = together(attn_mask if boolean else None, early)
    if visible is not None:
        options["mask"] = visible
    back = (lambda output: xp.reshape(output, shape)) if enable_gqa else (lambda output: output)
    return Call("attlas.softmax_attention", (query, key, value), options, back)
