"""The best public peers: the same mathematics in PyTorch, as fast as plain PyTorch expresses it.

A record names its peer (`Record.peer`); a peer takes the record's arrays as tensors, which share the memory of the
NumPy arrays, and the options that it knows. PyTorch's fused attention is used wherever the formulation can be brought
to it; the others are the shortest chain of batched products with in-place steps between.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from attlas_ref.records import Record
from attlas_ref.testing.drawn import Call

from ..threads import get_num_threads
from .contestants import Contestant, each
from .machine import installed

MISSING = "PyTorch is not installed (pip install 'attlas[peers]')"


def peer_contestant(record: Record) -> Contestant:
    """The peer of a formulation as a contestant.

    Raises
    ------
    LookupError
        If the record names no peer.
    ModuleNotFoundError
        If PyTorch is not installed.
    """
    if record.peer is None:
        raise LookupError(f"{record.name} has no public peer")
    if not installed("torch"):
        raise ModuleNotFoundError(MISSING)
    import torch

    torch.set_num_threads(get_num_threads())
    function: Callable[..., Any] = globals()[record.peer]

    def prepare(call: Call) -> Callable[[], Any]:
        tensors = tuple(each(value, torch.from_numpy) for value in call.arrays)
        options = _known(record, call.options)
        return lambda: function(*tensors, **options)

    return Contestant("torch", prepare, lambda result: each(result, lambda part: part.detach().numpy()))


def _known(record: Record, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a peer takes; it must not leave out one that changes the result."""
    import inspect

    known = inspect.signature(globals()[str(record.peer)]).parameters
    for name, value in options.items():
        if name not in known and value != record.python_signature.parameters[name].default:
            raise ValueError(f"the peer of {record.name} does not take the option {name}")
    return {name: value for name, value in options.items() if name in known}


def scaled_dot_product_attention(query: Any, key: Any, value: Any, *, scale: Any = None, causal: bool = False) -> Any:
    """PyTorch's fused attention."""
    if causal and query.shape[-2] != key.shape[-2]:
        return _fused(query, key, value, attn_mask=_seen(query, key), scale=scale)
    return _fused(query, key, value, is_causal=causal, scale=scale)


def scaled_dot_product_attention_backward(
    query: Any, key: Any, value: Any, grad_output: Any, *, scale: Any = None, causal: bool = False
) -> Any:
    """PyTorch's fused attention forwards and backwards: from the same four arrays, gradients need both."""
    import torch

    leaves = tuple(array.detach().requires_grad_() for array in (query, key, value))
    with torch.enable_grad():
        output = scaled_dot_product_attention(*leaves, scale=scale, causal=causal)
    return torch.autograd.grad(output, leaves, grad_output)


def torch_logsumexp(query: Any, key: Any, *, scale: Any = None, causal: bool = False, temperature: float = 1.0) -> Any:
    """One product and a log-sum-exp in place, which is faster than `torch.logsumexp`."""
    import torch

    with torch.inference_mode():
        scores = _scores(query, key, _default(scale, query) / temperature, causal)
        maximum = scores.amax(dim=-1, keepdim=True)
        return scores.sub_(maximum).exp_().sum(dim=-1).log_().add_(maximum[..., 0]).mul_(-temperature)


def torch_distance_attention(query: Any, key: Any, value: Any, *, scale: Any = None, causal: bool = False) -> Any:
    """PyTorch's fused attention: |q - k|² = |q|² - 2 q·k + |k|², and |q|² cancels in the softmax."""
    import torch

    scale = _default(scale, query)
    with torch.inference_mode():
        bias = (-scale * key.square().sum(-1))[..., None, :]
        bias = bias.expand(*bias.shape[:-2], query.shape[-2], key.shape[-2])
        if causal:
            bias = bias.masked_fill(~_seen(query, key), -math.inf)
        return _fused(query, key, value, attn_mask=bias, scale=2 * scale)


def torch_sigmoid_attention(
    query: Any, key: Any, value: Any, *, offset: Any = None, scale: Any = None, causal: bool = False
) -> Any:
    """Two products with an elementwise logistic function between."""
    import torch

    offset = -math.log(max(key.shape[-2], 1)) if offset is None else offset
    with torch.inference_mode():
        return _scores(query, key, _default(scale, query), causal).add_(offset).sigmoid_() @ value


def torch_relu_attention(
    query: Any, key: Any, value: Any, *, length_power: float = 1.0, scale: Any = None, causal: bool = False
) -> Any:
    """Two products with a rectifier between; the division by the length is moved into the scale."""
    import torch

    factor = _default(scale, query) / max(key.shape[-2], 1) ** length_power
    with torch.inference_mode():
        return _scores(query, key, factor, causal).relu_() @ value


def torch_softcapped_attention(
    query: Any, key: Any, value: Any, *, cap: float, scale: Any = None, causal: bool = False
) -> Any:
    """Two products with a tanh and a softmax between."""
    import torch

    with torch.inference_mode():
        scores = _scores(query, key, _default(scale, query) / cap, False).tanh_().mul_(cap)
        if causal:
            scores.masked_fill_(~_seen(query, key), -math.inf)
        return torch.softmax(scores, dim=-1) @ value


def _fused(query: Any, key: Any, value: Any, attn_mask: Any = None, **options: Any) -> Any:
    """Call PyTorch's fused attention as (batch, heads, rows, width): of other ranks it takes a slower path."""
    from torch.nn.functional import scaled_dot_product_attention as fused

    def four_axes(array: Any) -> Any:
        return array.reshape(-1, *((1,) * max(0, 3 - array.ndim)), *array.shape[-3:])

    if attn_mask is not None:
        attn_mask = four_axes(attn_mask)
    output = fused(four_axes(query), four_axes(key), four_axes(value), attn_mask=attn_mask, **options)
    return output.reshape(*query.shape[:-1], value.shape[-1])


def _default(scale: float | None, query: Any) -> float:
    return 1 / math.sqrt(query.shape[-1]) if scale is None else scale


def _scores(query: Any, key: Any, scale: float, causal: bool) -> Any:
    """Scaled scores; the queries are scaled, which are fewer than the scores."""
    scores = (query * scale) @ key.mT
    return scores.masked_fill_(~_seen(query, key), -math.inf) if causal else scores


def _seen(query: Any, key: Any) -> Any:
    """Which query sees which key: j <= i + n - m."""
    import torch

    m, n = query.shape[-2], key.shape[-2]
    return torch.ones(m, n, dtype=torch.bool).tril(n - m)
