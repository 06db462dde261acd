"""Dependency-constrained attention, on the CPU: one pair at a time, in blocks of queries.

Bound by: n² (d + e) multiply-adds; nothing of size n² is kept unless weights are asked for.
Differs from the reference by rounding.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import dot_scale, kernels_of, score_batch
from ..compile import kernel, part
from ..operands import Array, lay_out, over_queries
from ..real import Real

__all__ = ["dependency_constrained_attention"]


def build_relations(real: Real) -> Any:
    """Make the kernel; parameters (scale,).

    Operands as of the tile, with the dependency as `extra` and the weights of the two relations, (1, 2), as
    `gradient`. Results: output (n, e) or 0, weights (n, n) or 0.
    """
    zero = real.number(0)
    open_operands, reals, sigmoid = real.open_operands, real.pointer, real.sigmoid
    of = str(real.dtype)

    def dot(x, x_at, x_step, y, y_at, y_step, count):
        total = zero
        for c in range(count):
            total += x[x_at + c * x_step] * y[y_at + c * y_step]
        return total

    dot = part(dot, of, reassociate=True)

    def weight_of(operands, member, i, j):
        """The weight of a visible pair."""
        query, key, parse, relation = operands.query, operands.key, operands.extra, operands.gradient
        score = operands.parameters[0] * dot(
            query.memory, query.places[member] + i * query.row, query.column, key.memory,
            key.places[member] + j * key.row, key.column, operands.size.d,
        )  # fmt: skip
        if operands.size.has_bias:
            bias = operands.bias
            score += bias.memory[bias.places[member] + i * bias.row + j * bias.column]
        up = parse.memory[parse.places[member] + i * parse.row + j * parse.column]
        down = parse.memory[parse.places[member] + j * parse.row + i * parse.column]
        at = relation.places[member]
        return (relation.memory[at] * up + relation.memory[at + relation.column] * down) * sigmoid(score)

    weight_of = part(weight_of, of)

    def add_value(total, weight, memory, at, step, count):
        for c in range(count):
            total[c] += weight * memory[at + c * step]

    add_value = part(add_value, of)

    def relations(start, stop, operands, scratch, results):
        operands, sums = open_operands(operands), reals(scratch[3])
        size, value, mask = operands.size, operands.value, operands.mask
        output, all_weights = reals(results[0]), reals(results[1])
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first = task // blocks, task % blocks * size.queries
            for i in range(first, min(first + size.queries, size.m)):
                for c in range(size.e):
                    sums[c] = zero
                for j in range(size.n):
                    if size.has_mask and not mask.memory[mask.places[member] + i * mask.row + j * mask.column]:
                        continue
                    weight = weight_of(operands, member, i, j)
                    if results[1]:
                        all_weights[(member * size.m + i) * size.n + j] = weight
                    add_value(sums, weight, value.memory, value.places[member] + j * value.row, value.column, size.e)
                if results[0]:
                    for c in range(size.e):
                        output[(member * size.m + i) * size.e + c] = sums[c]

    return kernel(relations, f"dependency-constrained-{real.dtype}")


def dependency_constrained_attention(
    query: Array,
    key: Array,
    value: Array,
    dependency: Array,
    relation_weights: Array,
    *,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.probabilistic.dependency_constrained_attention`."""
    n, dtype = query.shape[-2], query.dtype
    options: dict[str, Any] = {
        "mask": mask,
        "bias": bias,
        "diagonal": None,
        "extra": dependency[..., None, :, :],
        "gradient": relation_weights[..., None, :],
        "parameters": (dot_scale(scale, query),),
    }
    kernels = kernels_of(build_relations, dtype)
    batch = score_batch(query, key, value, mask, bias, options["extra"], options["gradient"])
    problem = lay_out(query, key, value, batch=batch, **options)
    output = problem.new(n, value.shape[-1])
    over_queries(problem, kernels, output, None)
    if not return_weights:
        return output
    batch = score_batch(query, key, mask, bias, options["extra"], options["gradient"])
    problem = lay_out(query, key, np.empty((n, 0), dtype=dtype), batch=batch, **options)
    weights = np.zeros((*batch, n, n), dtype=dtype)
    over_queries(problem, kernels, None, weights)
    return AttentionResult(output, weights)
