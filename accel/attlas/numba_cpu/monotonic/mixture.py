"""Mixtures that move forward, on the CPU: the weights of some steps, key by key and component by component, and a sum.

The means do not depend on the weights, so that steps are independent: a task is a few steps of a batch member. The
numbers of the components are computed first, m K of each.

A bell is computed only among the keys where it is not exactly 0, and values are read only there.

Bound by: for each component and each key that it reaches an exponential, about a dozen multiply-adds (two logistic
functions for every key in the logistic version), and e multiply-adds for each such key and step in the register tile:
m n K and m n e at most. Weights are held for the steps of a task only.
Differs from the reference by rounding.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import with_extras

from ...no_values import also_without_values
from ..attention import kernels_of
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay, lean
from ..pointers import bytes_at, moved
from ..probabilistic.sums import sums_of
from ..product import multiplied
from ..real import Real
from ..vector import lanes_of
from .steps import ROWS, lay_mask, lay_result, room_of_sums, steps_of, values_of

__all__ = ["gmm_attention"]

LOGISTIC_FLOOR = 1e-5
"""What is added to weights and widths of the logistic variant."""
LOGISTIC_LEAST = 1e-8
"""What takes the place of its weights that are exactly 0."""
EXPONENTIAL = 16
"""What an exponential costs, in multiply-adds."""


class Sizes(NamedTuple):
    """The whole numbers of a call."""

    m: int
    n: int
    e: int
    lanes: int
    width: int
    finite: int
    k: int
    """Components."""
    logistic: int
    normalize: int
    wanted: int
    """Whether weights are a result."""


@cache
def bells_of(real: Real) -> Any:
    """Make bells(w, spare, heights, means, widths, member, i, n, k, logistic): the weights of a step.

    They are written in whole vectors, behind the last key too, and so is the scratch `spare`.
    """
    zero, one, two, half = (real.number(x) for x in (0, 1, 2, 0.5))
    number, lanes, least = real.number, lanes_of(real.dtype), real.number(LOGISTIC_LEAST)
    deepest = number(1.02 * -math.log(float(np.finfo(real.dtype).smallest_subnormal)))  # exponentials below are 0
    gradual, of = sums_of(real).gradual, f"mixture, {real.dtype}"

    def below(x):
        small = gradual(-abs(x))
        return (one if x >= zero else small) / (one + small)

    def reach(mean, divisor, height, across):
        """From which key to which a bell is not exactly 0, in whole vectors; all of them beside a NaN."""
        far = math.sqrt(deepest * divisor)
        low, high = mean - far, mean + (far + one)
        if (height - height != zero) | (low != low) | (high != high):
            return 0, across
        first, end = int(min(max(low, zero), number(across))), int(min(max(high, zero), number(across)))
        return first // lanes * lanes, (end + lanes - 1) // lanes * lanes

    below, reach = part(below, of, inline=True), part(reach, of)

    def bells(w, spare, heights, means, widths, member, i, n, k, logistic):
        across = (n + lanes - 1) // lanes * lanes  # whole vectors: the end of a row would be computed number by number
        for j in range(across):
            w[j], spare[j] = zero, zero
        for c in range(k):
            height = heights.memory[heights.places[member] + i * heights.row + c * heights.column]
            mean = means.memory[means.places[member] + i * means.row + c * means.column]
            width = widths.memory[widths.places[member] + i * widths.row + c * widths.column]
            divisor = two * (width * width)
            low, high = (0, across) if logistic else reach(mean, divisor, height, across)
            for first in range(low, high, lanes):
                row, rest, start = moved(w, first), moved(spare, first), number(first)
                if logistic:
                    for lane in range(lanes):
                        offset = (start + number(lane)) - mean
                        row[lane] += height * below((offset + (one + half)) / width)
                        rest[lane] += height * below((offset + half) / width)
                else:
                    for lane in range(lanes):
                        offset = (start + number(lane)) - mean
                        row[lane] += height * gradual(-(offset * offset) / divisor)
        if logistic:
            for j in range(n):
                x = w[j] - spare[j]
                w[j] = least if x == zero else x

    return part(bells, of)


def build_mixture(real: Real) -> Any:
    """Make the kernel.

    Operands: heights, means, widths, value, weights, mask. Results: the output, then the `Sizes`. Scratch: the weights
    of some steps, a row, what a step sees, the packed values, sums.
    """
    zero = real.number(0)
    open_matrix, reals, steps, bells = opener(real), real.pointer, steps_of(real), bells_of(real)

    def mixture(start, stop, operands, scratch, results):
        heights, means, widths = open_matrix(operands, 0), open_matrix(operands, 1), open_matrix(operands, 2)
        value, weights, mask = open_matrix(operands, 3), open_matrix(operands, 4), steps.open_mask(operands, 5)
        m, n, e, lanes, width = results[1], results[2], results[3], results[4], results[5]
        k, logistic, normalize, wanted = results[7], results[8], results[9], results[10]
        kept, spare, seen = reals(scratch[0]), reals(scratch[1]), bytes_at(scratch[2])
        packed, sums = reals(scratch[3]), reals(scratch[4])
        blocks, before = (m + ROWS - 1) // ROWS, -1
        for task in range(start, stop):
            member, first = task // blocks, task % blocks * ROWS
            count = min(ROWS, m - first)
            if member != before:
                steps.take(packed, value, member, n, e, lanes)
                before = member
            for r in range(count):
                w = moved(kept, r * n)
                steps.note(seen, mask, member, first + r, n)
                bells(w, spare, heights, means, widths, member, first + r, n, k, logistic)
                for j in range(n):
                    w[j] = w[j] if seen[j] else zero
                if normalize:
                    steps.divide(w, seen, n)
            output = moved(reals(results[0]), member * m * e)
            if wanted:
                steps.keep(weights, member, kept, first, count, n)
            steps.read(
                output, sums, kept, packed, value, mask, member, first, count, (n, e, lanes, width, results[6])
            )  # fmt: skip

    return kernel(mixture, f"moving-mixture-{real.dtype}")


def _shares(logs: Array) -> Array:
    """Return shares among the components, (..., K, m)."""
    top = logs.max(axis=-2, keepdims=True, initial=-np.inf)
    parts = np.exp(logs - np.where(np.isinf(top), 0, top))
    total = parts.sum(axis=-2, keepdims=True)
    return np.asarray(parts / np.where(total == 0, 1, total))


def _softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


@also_without_values(np.empty)
def gmm_attention(
    query: Array,
    value: Array,
    *,
    w_hidden: Array,
    b_hidden: Array,
    w_params: Array,
    b_params: Array,
    version: int | str,
    sigma_floor: float,
    initial_mean: Array | None,
    mask: Array | None,
    normalize: bool,
    return_weights: bool,
    return_means: bool,
) -> Any:
    """See `attlas_ref.monotonic.gmm_attention`."""
    dtype, m = query.dtype, query.shape[-2]
    hidden = multiplied(lean(query), w_hidden)
    hidden += b_hidden
    hidden = np.maximum(hidden, 0, out=hidden) if version == "logistic" else np.tanh(hidden, out=hidden)
    # Steps stand side by side, since there are many of them and few components.
    parameters = np.ascontiguousarray((multiplied(hidden, w_params) + b_params).swapaxes(-1, -2))
    first, second, third = np.split(parameters, 3, axis=-2)  # (..., K, m)
    if version == "logistic":
        share, width, step = _shares(first) + LOGISTIC_FLOOR, _softplus(second) + LOGISTIC_FLOOR, _softplus(third)
    elif version == 0:
        share, step, width = np.exp(first), np.exp(second), np.sqrt(np.exp(-third) / 2) + sigma_floor
    elif version == 1:
        share, step, width = _shares(first), np.exp(second), np.sqrt(np.exp(third)) + sigma_floor
    else:
        share, step, width = _shares(first), _softplus(second), _softplus(third) + sigma_floor
    means = np.cumsum(step, axis=-1)
    means = means if initial_mean is None else initial_mean[..., None] + means
    heights = share if version in (0, "logistic") else share / np.sqrt(2 * np.pi * width**2)
    heights, means, width = (array.swapaxes(-1, -2) for array in (heights, means, width))  # (..., m, K)

    own = np.broadcast_shapes(query.shape[:-2], means.shape[:-2])
    leading = own if mask is None else np.broadcast_shapes(own, mask.shape[:-2])
    batch, values = np.broadcast_shapes(leading, value.shape[:-2]), values_of(value, mask)
    output = np.empty((*batch, m, values.e), dtype=dtype)
    weights = np.empty((*leading, m, values.n), dtype=dtype) if return_weights else None
    sizes = Sizes(m, *values, means.shape[-1], int(version == "logistic"), int(normalize), int(return_weights))
    members = int(np.prod(batch))
    launch(
        kernels_of(build_mixture, dtype),
        members * -(-m // ROWS),
        [
            *(lay(array, batch) for array in (heights, means, width, value)),
            lay_result(weights, batch, dtype),
            lay_mask(mask, batch),
        ],
        (output, *sizes),
        (
            ROWS * values.n + values.width, values.n + values.width, values.n, values.n * values.lanes,
            room_of_sums(values.lanes),
        ),
        dtype,
        members * m * values.n * (sizes.k * EXPONENTIAL + values.e),
    )  # fmt: skip
    means = np.broadcast_to(means, (*own, *means.shape[-2:])).copy() if means.shape[:-2] != own else means
    return with_extras(output, weights=weights, means=means if return_means else None)
