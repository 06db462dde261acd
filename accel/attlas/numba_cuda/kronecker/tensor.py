"""Attention to tuples on Numba-CUDA: the forms of scores, and who reads whom."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult, SimplicialAttentionVJP, TensorAttentionVJP, TriDirectionalResult

from ..assemble import Assembly, product
from ..dotproduct import softmax_attention, softmax_attention_vjp
from ..operands import dtype_of, leading_axes, shape_of
from ..rules import Real
from ..target import device
from .pieces import CROSS, Form
from .tuples import Rows, TupleProblem

__all__ = [
    "simplicial_attention",
    "simplicial_attention_vjp",
    "tensor_attention",
    "tensor_attention_vjp",
    "tri_directional_attention",
]


def tensor_attention(
    query: Any,
    keys: tuple[Any, ...],
    values: tuple[Any, ...],
    *,
    scale: float | None,
    mask: Any,
    causal: bool,
    windows: tuple[int, ...] | None,
    score: str,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.tensor_attention`; a sum of scores without a mask is done set by set."""
    if len(keys) == 1 and windows is None:
        return softmax_attention(
            query, keys[0], values[0], temperature=1.0, scale=scale, mask=mask, bias=None, causal=causal,
            return_weights=return_weights,
        )  # fmt: skip
    if score == "sum" and mask is None and not return_weights:
        return _product_of_means(query, keys, values, scale, causal, windows)
    form = Form(len(keys) - 1, score if len(keys) > 1 else "product")
    problem = TupleProblem(
        query, _rows(keys), _rows(values), mask=mask, causal=causal, windows=windows, scale=scale, form=form
    )
    return _attended(problem, return_weights)


def tensor_attention_vjp(
    query: Any,
    keys: tuple[Any, ...],
    values: tuple[Any, ...],
    grad_output: Any,
    *,
    scale: float | None,
    mask: Any,
    causal: bool,
    windows: tuple[int, ...] | None,
) -> TensorAttentionVJP:
    """Compute `attlas_ref.tensor_attention_vjp`."""
    if len(keys) == 1 and windows is None:
        grads = softmax_attention_vjp(
            query, keys[0], values[0], grad_output, temperature=1.0, scale=scale, mask=mask, bias=None, causal=causal,
            key_chunk_size=None, return_grad_bias=False,
        )  # fmt: skip
        return TensorAttentionVJP(grads.grad_query, (grads.grad_key,), (grads.grad_value,))
    problem = TupleProblem(
        query, _rows(keys), _rows(values), grad_output,
        mask=mask, causal=causal, windows=windows, scale=scale, form=Form(len(keys) - 1),
    )  # fmt: skip
    return TensorAttentionVJP(*problem.gradients())


def simplicial_attention(
    query: Any,
    key1: Any,
    key2: Any,
    value1: Any,
    value2: Any,
    *,
    scale: float | None,
    windows: tuple[int, int] | None,
    causal: bool,
    mask: Any,
    key2_bias: float,
    value2_bias: float,
    score: str,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.simplicial_attention`."""
    problem = TupleProblem(
        query, (Rows(key1), Rows(key2, plus, key2_bias)), (Rows(value1), Rows(value2, plus, value2_bias)),
        mask=mask, causal=causal, windows=windows, scale=scale, form=_form_of_pairs(score),
    )  # fmt: skip
    return _attended(problem, return_weights)


def simplicial_attention_vjp(
    query: Any,
    key1: Any,
    key2: Any,
    value1: Any,
    value2: Any,
    grad_output: Any,
    *,
    scale: float | None,
    windows: tuple[int, int] | None,
    causal: bool,
    mask: Any,
    key2_bias: float,
    value2_bias: float,
    score: str,
) -> SimplicialAttentionVJP:
    """Compute `attlas_ref.simplicial_attention_vjp`."""
    problem = TupleProblem(
        query, (Rows(key1), Rows(key2, plus, key2_bias)), (Rows(value1), Rows(value2, plus, value2_bias)), grad_output,
        mask=mask, causal=causal, windows=windows, scale=scale, form=_form_of_pairs(score),
    )  # fmt: skip
    grad_query, grad_keys, grad_values = problem.gradients()
    return SimplicialAttentionVJP(grad_query, *grad_keys, *grad_values)


def tri_directional_attention(
    key1: Any, value1: Any, key2: Any, value2: Any, key3: Any, value3: Any, *, scale: float | None
) -> TriDirectionalResult:
    """Compute `attlas_ref.tri_directional_attention`, a pass per reader: a block owns the running sums of its readers.

    The scores, which a single pass would share, are less than a third of the work.
    """
    sets = ((key1, value1), (key2, value2), (key3, value3))
    outputs = []
    for reader, (query, _) in enumerate(sets):
        keys, values = zip(*(pair for place, pair in enumerate(sets) if place != reader), strict=True)
        problem = TupleProblem(
            query, _rows(keys), _rows(values), mask=None, causal=False, windows=None, scale=scale, form=Form(1)
        )
        outputs.append(problem.output())
    return TriDirectionalResult(*outputs)


def plus(real: Real) -> Callable[..., Any]:
    """Make left plus right."""

    @device
    def entry(left, right):
        return left + right

    return entry


def _rows(arrays: Sequence[Any]) -> tuple[Rows, ...]:
    return tuple(map(Rows, arrays))


def _form_of_pairs(score: str) -> Form:
    return Form(1, CROSS if score == "determinant" else "product")


def _attended(problem: TupleProblem, return_weights: bool) -> Any:
    output = problem.output()
    return AttentionResult(output, problem.weights()) if return_weights else output


def _product_of_means(
    query: Any,
    keys: Sequence[Any],
    values: Sequence[Any],
    scale: float | None,
    causal: bool,
    windows: tuple[int, ...] | None,
) -> Any:
    """Return the product of one softmax attention per set: the exponential of a sum is a product."""
    outputs = [
        tensor_attention(
            query, (key,), (value,), scale=scale, mask=None, causal=causal,
            windows=None if windows is None else (windows[r],), score="product", return_weights=False,
        )
        for r, (key, value) in enumerate(zip(keys, values, strict=True))
    ]  # fmt: skip
    batch, (m, e), dtype = leading_axes(*outputs), shape_of(outputs[0])[-2:], dtype_of(query)
    counts = [shape_of(key)[-2] for key in keys]
    # Where one set shows nothing there is no tuple, whatever the others hold.
    blind = m if 0 in counts else max(0, m - min(counts)) if causal or windows is not None else 0
    result = outputs[0]
    for factor in outputs[1:]:
        result = Assembly(batch, m, e, dtype).put(product, result, factor)
        result = result.put(product, np.broadcast_to(np.zeros(1, dtype), (blind, e))).matrix
    return result
