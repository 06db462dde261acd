"""Modern Hopfield retrieval: so many attentions in a row, whose values are the keys in all but the last.

Bound by: multiply-adds, 2 m n d in each inner step and m n (d + e) in the last; each step is one call of the template
of its map (`tile` for the softmax, `band` for the sparse ones). With a tolerance, see `retrieval`.
Gradients run back through the same chain, one pair of passes per step: the states are kept, steps · m d numbers, and
the weights are computed again; no array grows with m n. Differs from the reference by rounding.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult, AttentionVJP, RetrievalSteps, RetrievalWeightsSteps

from ..attention import attend, causal_diagonal, dot_scale, kernels_of, score_batch
from ..backward import Backward, softmax_gradients
from ..dense import build_softmax
from ..dotproduct import build_softmax_gradient
from ..operands import Array
from ..real import Real
from ..simplex import chosen, entmax_attention
from ..tile import Kernels
from .projected_gradient import GRADIENTS, projected_gradients
from .retrieval import retrieve

__all__ = ["hopfield_attention", "hopfield_attention_vjp"]


def hopfield_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    beta: float | None,
    steps: int,
    tol: float,
    alpha: float,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    return_weights: bool,
    return_steps: bool,
) -> Any:
    """See `attlas_ref.memory.hopfield_attention`."""
    beta = dot_scale(beta, query)
    seen: dict[str, Any] = {"mask": mask, "bias": bias, "causal": causal}
    if tol > 0 and steps > 1:
        diagonal = causal_diagonal(causal, query, key)
        result: Any = retrieve(
            query,
            key,
            value,
            beta=beta,
            steps=steps,
            tol=tol,
            alpha=alpha,
            mask=mask,
            bias=bias,
            diagonal=diagonal,
            return_weights=return_weights,
        )
        if return_steps:
            return result
        return AttentionResult(result.output, result.weights) if return_weights else result.output

    def read(state: Array, value: Array, return_weights: bool) -> Any:
        return entmax_attention(state, key, value, alpha=alpha, scale=beta, return_weights=return_weights, **seen)

    for state in _states(query, steps, lambda state: read(state, key, False), key, mask, bias):
        last = state
    result = read(last, value, return_weights)
    if not return_steps:
        return result
    taken = np.full((*score_batch(query, key, mask, bias), query.shape[-2]), steps, dtype=np.int64)
    return (
        RetrievalWeightsSteps(result.output, result.weights, taken) if return_weights else RetrievalSteps(result, taken)
    )


Step = Callable[[Array], Array]
"""From one state to the next."""


def _states(query: Array, steps: int, move: Step, *seen: Array | None) -> Iterator[Array]:
    """Yield the states from which the weights of each step are computed; the first are the queries.

    `seen`: what may give the states more leading axes than the queries have.
    """
    yield query
    state = np.broadcast_to(query, (*score_batch(query, *seen), *query.shape[-2:]))
    for _ in range(1, steps):
        state = move(state)
        yield state


def _by_tiles(real: Real) -> Kernels:
    """The softmax by tiles alone: its bits, and so those of gradients, do not depend on the layout of few queries."""
    return kernels_of(build_softmax, real.dtype)._replace(few=None)


def hopfield_attention_vjp(
    query: Array,
    key: Array,
    value: Array | None,
    grad_output: Array,
    *,
    beta: float | None,
    steps: int,
    alpha: float,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
) -> AttentionVJP:
    """See `attlas_ref.memory.hopfield_attention_vjp`."""
    beta = dot_scale(beta, query)
    diagonal = causal_diagonal(causal, query, key)
    make, parameters = chosen(alpha, query.dtype)

    def backwards(state: Array, read: Array, gradient: Array) -> Any:
        """The gradients of one step: those of the state, of the keys as what was compared, of what was read."""
        if alpha == 1:
            call = Backward(state, key, read, gradient, mask, bias, diagonal, None, (beta, 1.0))
            kernels = kernels_of(build_softmax_gradient, query.dtype)
            return softmax_gradients(call, kernels, slope=beta, bias_slope=1.0, return_grad_bias=False)
        call = Backward(state, key, read, gradient, mask, bias, diagonal, None, (beta, *parameters))
        return projected_gradients(call, kernels_of(GRADIENTS[make], query.dtype), slope=beta)

    def move(state: Array) -> Any:
        seen: dict[str, Any] = {"mask": mask, "bias": bias, "causal": causal, "return_weights": False}
        if alpha == 1:
            return attend(_by_tiles, state, key, key, beta, 1.0, **seen)
        return entmax_attention(state, key, key, alpha=alpha, scale=beta, **seen)

    states = list(_states(query, steps, move, key, mask, bias))
    grad, grad_key, grad_value = backwards(states[-1], key if value is None else value, grad_output)
    if value is None:
        grad_key = grad_key + grad_value
    for state in states[-2::-1]:  # the inner steps read the keys
        grad, compared, was_read = backwards(state, key, grad)
        grad_key = grad_key + (compared + was_read)
    return AttentionVJP(grad, grad_key, None if value is None else grad_value)
