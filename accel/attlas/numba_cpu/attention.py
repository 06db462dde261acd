"""The host functions of every formulation that fills the tile template."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from attlas_ref.contract import AttentionResult

from ..layout import broadcast
from ..threads import undisturbed
from .few import run_few, suits
from .operands import Array, Problem, lay_out, over_queries
from .real import Real, real_of
from .tile import Kernels

K = TypeVar("K")


_made: dict[Any, Any] = {}


def kernels_of(build: Callable[[Real], K], dtype: np.dtype[Any]) -> K:
    """The kernels of a formulation in one precision; made once."""
    if (build, dtype) not in _made:
        undisturbed(_make, build, dtype)
    made: K = _made[build, dtype]
    return made


def _make(build: Callable[[Real], Any], dtype: np.dtype[Any]) -> None:
    if (build, dtype) not in _made:
        _made[build, dtype] = build(real_of(dtype))


def dot_scale(scale: float | None, query: Array) -> float:
    """The factor of the dot products."""
    return 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale


def causal_diagonal(causal: bool, query: Array, key: Array) -> int | None:
    """The last query sees the last key."""
    return key.shape[-2] - query.shape[-2] if causal else None


def attend(
    build: Callable[[Real], Kernels],
    query: Array,
    key: Array,
    value: Array,
    *parameters: float,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    return_weights: bool,
    divide: bool = True,
    extra: Array | None = None,
    selects: bool = False,
) -> Any:
    """Compute a formulation: its output, and with `return_weights` its weights too.

    With `divide`, the weights are divided by their sum (where that is not 0). `extra` is what the formulation's own
    parts read besides, a matrix with leading axes. `selects`: the scores themselves hide keys.
    """
    options: dict[str, Any] = {
        "mask": mask,
        "bias": bias,
        "extra": extra,
        "diagonal": causal_diagonal(causal, query, key),
        "parameters": parameters,
        "divide": divide,
        "selects": selects,
    }
    kernels = kernels_of(build, query.dtype)
    problem = lay_out(query, key, value, **options)
    if not return_weights:
        return run_forward(problem, kernels)[0]
    # The weights take the maxima of scores that were summed in the same order as theirs.
    kernels = kernels._replace(few=None)
    output, maximum, total = run_forward(problem, kernels)
    if problem.batch != score_batch(query, key, mask, bias, extra):
        problem = lay_out_scores(query, key, **options)
        _, maximum, total = run_forward(problem, kernels)
    weights = np.zeros((*problem.batch, problem.size.m, problem.size.n), dtype=query.dtype)
    over_queries(problem, kernels.weights, maximum, total, weights)
    return AttentionResult(output, weights)


def score_batch(*arrays: Array | None) -> tuple[int, ...]:
    """The leading axes of scores: values may have more."""
    return broadcast(*(array.shape[:-2] for array in arrays if array is not None))


def lay_out_scores(
    query: Array, key: Array, *, mask: Array | None, bias: Array | None, extra: Array | None = None, **options: Any
) -> Problem:
    """Lay a call without values out: values of width 0 leave the row statistics and weights."""
    batch = score_batch(query, key, mask, bias, extra)
    no_values = np.empty((key.shape[-2], 0), dtype=key.dtype)
    return lay_out(query, key, no_values, mask=mask, bias=bias, extra=extra, batch=batch, **options)


def run_forward(problem: Problem, kernels: Kernels) -> tuple[Array, Array, Array]:
    """Return output (..., m, e), maximum and total (..., m)."""
    if kernels.few is not None and suits(problem):
        return run_few(problem, kernels.few)
    size = problem.size
    results = problem.new(size.m, size.e), problem.new(size.m), problem.new(size.m)
    over_queries(problem, kernels.forward, *results)
    return results
