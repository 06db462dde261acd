"""FlashAttention: the layout and the options of `flash_attn.flash_attn_func`.

The package needs a CUDA GPU. What is here follows its documentation (version 2.8) and is tested against a plain
expression of that documentation, not against the kernels.
"""

from typing import Any

from .call import Call, band, functions_of, in_groups, no_dropout, one_of_cap_and_bias, ours, widened
from .jax import swapped

FUNCTION = "flash_attn.flash_attn_func"
UNBOUNDED = (-1, -1)


def to_flash(
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
    """Turn a call of `attlas.softmax_attention`, or with `cap` of `softcapped_attention`, into FlashAttention's.

    Its causal rule and its empty rows are ours. The heads go behind the rows, and a value that is narrower or wider
    than the keys is filled up.

    Parameters
    ----------
    query, key, value, cap, temperature, scale, causal
        As ours take them, in float16 or bfloat16. With `cap` no `temperature` may be given.
    mask, bias
        None: FlashAttention has no place for them.

    Returns
    -------
    Call
        Arrays of the kind that was given; the tensors of a GPU can be handed to `flash_attn_func`.

    Raises
    ------
    ValueError
        If there is a mask or a bias.
    TypeError
        If the arrays are neither float16 nor bfloat16.

    Examples
    --------
    >>> import numpy as np
    >>> call = to_flash(*np.ones((3, 2, 8, 100, 64), np.float16), causal=True)  # 2 texts, 8 heads, 100 rows
    >>> call.arrays[0].shape, call.options
    ((2, 100, 8, 64), {'causal': True})
    """
    for name, pairs in (("mask", mask), ("bias", bias)):
        if pairs is not None:
            raise ValueError(
                f"to_flash: {name} is given; FlashAttention takes none, only lengths (flash_attn_varlen_func), windows "
                "and slopes"
            )
    if cap is not None and temperature != 1:
        raise ValueError(f"to_flash: temperature is {temperature}; it needs to be 1 where a cap is given")
    call = ours(None, query, key, value, cap=cap, temperature=temperature, scale=scale, causal=causal)
    if not str(call.query.dtype).endswith("float16"):
        raise TypeError(f"to_flash: the arrays are {call.query.dtype}; FlashAttention takes float16 and bfloat16")
    xp, d, e = call.xp, call.sizes["d"], call.sizes["e"]
    scale = d**-0.5 if e > d and call.scale is None else call.scale
    arrays = (swapped(xp, call.heads(widened(xp, x, max(d, e)))) for x in (call.query, call.key, call.value))
    options = {"softmax_scale": scale, "causal": causal or None, "softcap": cap}
    return Call(
        FUNCTION,
        tuple(arrays),
        {name: option for name, option in options.items() if option is not None},
        lambda output: call.give(call.rows(swapped(xp, output))),
    )


def from_flash(
    q: Any,
    k: Any,
    v: Any,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = UNBOUNDED,
    softcap: float = 0.0,
    alibi_slopes: Any = None,
) -> Call:
    """Turn a call of `flash_attn.flash_attn_func` into one of ours.

    Parameters
    ----------
    q, k, v, dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes
        As FlashAttention takes them: (b, m, h, d). `dropout_p` needs to be 0.

    Returns
    -------
    Call
        Of `attlas.softmax_attention`, or of `attlas.softcapped_attention` where `softcap` is above 0.

    Raises
    ------
    ValueError
        If weights are dropped, or slopes come with a softcap.

    Examples
    --------
    >>> import numpy as np
    >>> call = from_flash(*np.ones((3, 1, 3, 2, 4)), alibi_slopes=np.array([0.5, 0.25]))
    >>> call.options["bias"][0, 0]
    array([[-0. , -0.5, -1. ],
           [-0.5, -0. , -0.5],
           [-1. , -0.5, -0. ]])
    """
    no_dropout("from_flash", dropout_p)
    xp = functions_of(q)
    m, n = q.shape[1], k.shape[1]
    device = getattr(q, "device", None)
    bias = None
    if alibi_slopes is not None:
        one_of_cap_and_bias("from_flash", softcap or None, alibi_slopes)
        away = xp.abs(xp.arange(m, device=device)[:, None] + (n - m) - xp.arange(n, device=device))
        slopes = xp.reshape(alibi_slopes, (-1, q.shape[2], 1, 1))  # one per head, or per text and head
        bias = -slopes * xp.astype(away, alibi_slopes.dtype)
    bounds = {side: size for side, size in zip(("left", "right"), window_size, strict=True) if size >= 0}
    visible = band(q, m, n, n - m, **bounds) if bounds else None
    shape = (q.shape[0], q.shape[2], m, v.shape[-1])
    *arrays, bias, visible = in_groups(xp, *(swapped(xp, x) for x in (q, k, v)), bias, visible)
    options = {
        "scale": softmax_scale,
        "bias": bias,
        "mask": visible,
        "causal": causal or None,
        "cap": softcap or None,
    }
    return Call(
        "attlas.softcapped_attention" if softcap else "attlas.softmax_attention",
        tuple(arrays),
        {name: option for name, option in options.items() if option is not None},
        lambda output: swapped(xp, xp.reshape(output, shape)),
    )
