"""Memories that learn while they are read, some tokens at a time.

All gradients of a chunk are taken at one point, so what the tokens of a chunk add is linear in what they do not know
yet, and a run of them is a few matrix products instead of a loop. A run is no longer than a chunk and no longer than
`RUN`; with chunks of one token it is that token, and a GPU waits for the host to begin its many small steps.

The weights of a run's tokens are products of rates, not quotients of running products: rates may be 0. In a run with a
NaN or infinity the tokens go one by one, since a product of matrices would lead them back in time.
"""

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import MemoryResult, MemoryState, NetworkResult, NetworkState

from ..tile import transposed
from .activations import activated, slope

__all__ = ["titans_memory", "titans_mlp_memory"]

RUN = 64
"""Tokens of a run, at most."""


def titans_memory(
    query: Any,
    key: Any,
    value: Any,
    *,
    lr: Any,
    momentum: Any,
    decay: Any,
    memory: Any,
    surprise: Any,
    chunk_size: int,
    return_state: bool,
) -> Any:
    """Return what each token reads from a matrix that has learned from all tokens up to it."""
    xp, (n, d), e = array_namespace(query), key.shape[-2:], value.shape[-1]
    given = [array for array in (memory, surprise) if array is not None]
    leading = _leading((query, key, value, *given), (lr, momentum, decay))
    layer = _Layer(*(_state(xp, array, leading, d, e, query.dtype) for array in (memory, surprise)))
    output = xp.zeros((*leading, n, e), dtype=query.dtype)
    start = layer.memory
    for run in _runs(xp, n, chunk_size, (query, key, value, lr, momentum, decay)):
        if run.start % chunk_size == 0:
            start = layer.memory
        rates = _Rates(xp, lr[..., run], momentum[..., run], decay[..., run])
        k = key[..., run, :]
        written = 2 * (k @ start - value[..., run, :])
        output[..., run, :] = layer.read(rates, query[..., run, :], k, written)
        layer = layer.after(rates, k, written)
    return MemoryResult(output, MemoryState(*layer)) if return_state else output


def titans_mlp_memory(
    query: Any,
    key: Any,
    value: Any,
    weight1: Any,
    weight2: Any,
    *,
    lr: Any,
    momentum: Any,
    decay: Any,
    chunk_size: int,
    activation: str,
    return_state: bool,
) -> Any:
    """Return what each token reads from a network of two layers that has learned from all tokens up to it."""
    xp, (n, e) = array_namespace(query), value.shape[-2:]
    leading = _leading((query, key, value, weight1, weight2), (lr, momentum, decay))
    d, h = weight1.shape[-2:]
    first = _Layer(_state(xp, weight1, leading, d, h, query.dtype), _state(xp, None, leading, d, h, query.dtype))
    second = _Layer(_state(xp, weight2, leading, h, e, query.dtype), _state(xp, None, leading, h, e, query.dtype))
    output = xp.zeros((*leading, n, e), dtype=query.dtype)
    start = first.memory, second.memory
    for run in _runs(xp, n, chunk_size, (query, key, value, weight1, weight2, lr, momentum, decay)):
        if run.start % chunk_size == 0:
            start = first.memory, second.memory
        rates = _Rates(xp, lr[..., run], momentum[..., run], decay[..., run])
        k = key[..., run, :]
        units = k @ start[0]
        bent = activated(units, activation)
        residual = 2 * (bent @ start[1] - value[..., run, :])
        backward = (residual @ transposed(start[1])) * slope(units, activation)
        hidden = activated(first.read(rates, query[..., run, :], k, backward), activation)
        output[..., run, :] = second.read(rates, hidden, bent, residual)
        first, second = first.after(rates, k, backward), second.after(rates, bent, residual)
    return NetworkResult(output, NetworkState(first.memory, second.memory)) if return_state else output


class _Rates:
    """What the rates of a run of b tokens make of the state before it, and of each token's gradient.

    M_t = kept_t M + moved_t S - Σ_s written_ts gradient_s, and S_b likewise with the last rows of `carried`.
    """

    def __init__(self, xp: Any, lr: Any, momentum: Any, decay: Any) -> None:
        stay, push = (_products(xp, rate) for rate in (1 - decay, momentum))  # (..., b + 1, b + 1)
        both = stay[..., 1:, 1:] @ push[..., 1:, :]  # M_t holds every S_s since
        self.kept, self.moved = stay[..., 1:, :1], both[..., :1]
        self.written = both[..., 1:] * lr[..., None, :]
        self.momentum = push[..., -1:, :1]
        self.carried = push[..., -1:, 1:] * lr[..., None, :]
        self.past = xp.arange(lr.shape[-1]) <= xp.arange(lr.shape[-1])[:, None]


class _Layer(NamedTuple):
    """A matrix that learns, and the running sum of its gradients."""

    memory: Any
    surprise: Any

    def read(self, rates: _Rates, query: Any, left: Any, right: Any) -> Any:
        """Return q_t M_t, where the gradient of token s is left_s ⊗ right_s."""
        overlap = array_namespace(query).where(rates.past, query @ transposed(left), 0)
        fresh = (overlap * rates.written) @ right
        return rates.kept * (query @ self.memory) + rates.moved * (query @ self.surprise) - fresh

    def after(self, rates: _Rates, left: Any, right: Any) -> "_Layer":
        """Return the layer after the run."""
        turned = transposed(left)
        memory = rates.kept[..., -1:, :] * self.memory + rates.moved[..., -1:, :] * self.surprise
        memory = memory - (turned * rates.written[..., -1:, :]) @ right
        return _Layer(memory, rates.momentum * self.surprise - (turned * rates.carried) @ right)


def _products(xp: Any, rates: Any) -> Any:
    """Return L_ts, the product of the rates s + 1 .. t, 0 above the diagonal; t and s run from 0 to b."""
    b = rates.shape[-1]
    t, s = xp.arange(b + 1)[:, None], xp.arange(b + 1)
    before = xp.concatenate([xp.full_like(rates[..., :1], 1), rates], axis=-1)
    return xp.where(t < s, 0, xp.cumprod(xp.where(t > s, before[..., None], 1), axis=-2))


def _runs(xp: Any, n: int, chunk_size: int, arrays: tuple[Any, ...]) -> list[slice]:
    """Cut the tokens into runs that cross no chunk; the host waits for one value."""
    longest = 1 if chunk_size == 1 or not _finite(xp, arrays) else RUN
    return [
        slice(start, min(start + longest, chunk + chunk_size, n))
        for chunk in range(0, n, chunk_size)
        for start in range(chunk, min(chunk + chunk_size, n), longest)
    ]


def _finite(xp: Any, arrays: tuple[Any, ...]) -> bool:
    # 0 times what is finite is 0, 0 times what is not is NaN.
    return bool(xp.isfinite(sum(0 * array.sum() for array in arrays)))


def _leading(matrices: tuple[Any, ...], vectors: tuple[Any, ...]) -> tuple[int, ...]:
    return np.broadcast_shapes(*(x.shape[:-2] for x in matrices), *(x.shape[:-1] for x in vectors))


def _state(xp: Any, given: Any, leading: tuple[int, ...], rows: int, columns: int, dtype: Any) -> Any:
    zeros = xp.zeros((*leading, rows, columns), dtype=dtype)
    return zeros if given is None else zeros + given
