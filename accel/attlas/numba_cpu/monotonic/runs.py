"""Softmax over a run of neighboring keys, a run of its own for each query, on the CPU.

A task is a query. It scores the keys of its run one by one, from the run's first key on, normalizes what it has found
and adds the values up; no other key is read, whatever n is. Where runs overlap, as windows do, the keys that neighbors
share are still in the cache.

Bound by: loads, one for each of the w (d + e) multiply-adds of a query with a run of w keys; for scores with hidden
units by hyperbolic tangents, one for each unit of a pair. Memory beside the result is one run per thread; n (d + e)
numbers more if keys and values do not lie row by row.
Differs from the reference by rounding. A bias is read in the precision that it has.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import FIELDS, launch, opener
from ..operands import Array, Laid, lay, lean
from ..pointers import Matrix, bytes_at, moved, places_at, reals_at
from ..real import Real

QUERY, KEY, VALUE, UNITS, CENTER, BOUNDS, MASK, BIAS = range(8)
"""Of the matrices in the table of operands."""

UNIT = 24
"""What a hyperbolic tangent costs, in multiply-adds."""


class Run(NamedTuple):
    """How a call attends."""

    bounds: Array
    """(..., m, 2) whole numbers from 0 to n: the first key of each query, and the one after the last."""
    scale: float = 1.0
    mask: Array | None = None
    bias: Array | None = None
    units: Array | None = None
    """(a,): the factors u of u · tanh(q + k), in place of the dot product."""
    center: Array | None = None
    """(..., m): where a NaN makes its row NaN, and what the bell stands on."""
    width: float | None = None
    """Of the bell exp(-(j - center)² / (2 width²)) that multiplies the weights, if there is one."""

    @property
    def leading(self) -> tuple[int, ...]:
        """The leading axes of what belongs to pairs."""
        pairs = [x.shape[:-2] for x in (self.bounds, self.mask, self.bias) if x is not None]
        return np.broadcast_shapes(*pairs, *(() if self.center is None else (self.center.shape[:-1],)))


def build_runs(real: Real) -> Any:
    """Make the kernel.

    Operands: see above, then scale and width as matrices of one number. Results: outputs, weights or none; m, d, e, n,
    and what there is of units, centers, bell, mask and bias (the bytes of its numbers). Scratch: one run.
    """
    zero, one, two, infinity, number = real.number(0), real.number(1), real.number(2), real.number(np.inf), real.number
    exp, tanh, reals, open_matrix = real.exp, real.tanh, real.pointer, opener(real)
    floats, doubles = reals_at[4], reals_at[8]
    of = str(real.dtype)

    def dot(x, y, count):
        total = zero
        for c in range(count):
            total += x[c] * y[c]
        return total

    def bent(x, y, units, count):
        total = zero
        for c in range(count):
            total += units[c] * tanh(x[c] + y[c])
        return total

    def weigh(scores, count):
        """Make weights of scores; -inf is a hidden one."""
        top = -infinity
        for t in range(count):
            top = scores[t] if (scores[t] > top) | (scores[t] != scores[t]) else top
        top = zero if top == -infinity else top
        total = zero
        for t in range(count):
            scores[t] = exp(scores[t] - top)
        for t in range(count):
            total += scores[t]
        factor = one if total == zero else total
        for t in range(count):
            scores[t] = scores[t] / factor

    def ring(weights, first, count, center, width):
        """Multiply by the bell."""
        for t in range(count):
            distance = (number(first + t) - center) / width
            weights[t] = weights[t] * exp(-(distance * distance) / two)

    def add(out, weight, row, count):
        for c in range(count):
            out[c] += weight * row[c]

    dot, bent = part(dot, of, reassociate=True), part(bent, of, reassociate=True)
    weigh, ring, add = part(weigh, of, reassociate=True), part(ring, of), part(add, of)

    def runs(start, stop, operands, scratch, results):
        query, key, value = open_matrix(operands, QUERY), open_matrix(operands, KEY), open_matrix(operands, VALUE)
        units, center = open_matrix(operands, UNITS), open_matrix(operands, CENTER)
        at = FIELDS * BOUNDS
        bounds = Matrix(places_at(operands[at]), places_at(operands[at + 1]), operands[at + 2], operands[at + 3])
        at = FIELDS * MASK
        mask = Matrix(bytes_at(operands[at]), places_at(operands[at + 1]), operands[at + 2], operands[at + 3])
        at = FIELDS * BIAS
        bias = Matrix(floats(operands[at]), places_at(operands[at + 1]), operands[at + 2], operands[at + 3])
        double_bias = doubles(operands[at])
        numbers = reals(operands[FIELDS * (BIAS + 1)])
        scale, width = numbers[0], numbers[1]
        output, weights, scores = reals(results[0]), reals(results[1]), reals(scratch[0])
        m, d, e, n = results[2], results[3], results[4], results[5]
        has_units, has_center, has_bell, has_mask, bias_bytes = (
            results[6], results[7], results[8], results[9], results[10],
        )  # fmt: skip
        for task in range(start, stop):
            member, i = task // m, task % m
            out = moved(output, task * e)
            fill(out, e, zero)
            run = bounds.places[member] + i * bounds.row
            first, count = bounds.memory[run], bounds.memory[run + bounds.column] - bounds.memory[run]
            if count <= 0:
                continue
            middle = center.memory[center.places[member] + i * center.row] if has_center else zero
            own = moved(query.memory, query.places[member] + i * query.row)
            shown = moved(mask.memory, mask.places[member] + i * mask.row) if has_mask else mask.memory
            for t in range(count):
                j = first + t
                if has_mask and not shown[j * mask.column]:
                    scores[t] = -infinity
                    continue
                other = moved(key.memory, key.places[member] + j * key.row)
                score = bent(own, other, units.memory, d) if has_units else dot(own, other, d) * scale
                if bias_bytes:
                    place = bias.places[member] + i * bias.row + j * bias.column
                    score += number(bias.memory[place]) if bias_bytes == 4 else number(double_bias[place])
                # What is no number has no place: the score is none either.
                scores[t] = score + (middle - middle if middle != middle else zero)
            weigh(scores, count)
            if has_bell:
                ring(scores, first, count, middle, width)
            for t in range(count):
                j = first + t
                # Selected, not multiplied by 0: what is hidden may be no number.
                if not has_mask or shown[j * mask.column]:
                    add(out, scores[t], moved(value.memory, value.places[member] + j * value.row), e)
                    if results[1]:
                        weights[task * n + j] = scores[t]

    return kernel(runs, f"runs-{real.dtype}")


def attend_runs(query: Array, key: Array, value: Array, run: Run, return_weights: bool) -> Any:
    """Attend to the keys of each query's run."""
    query, key, value = (_by_rows(x) for x in (query, key, value))
    own = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], run.leading)
    batch = np.broadcast_shapes(own, value.shape[:-2])
    m, n = query.shape[-2], key.shape[-2]
    output = np.empty((*batch, m, value.shape[-1]), dtype=query.dtype)
    weights = np.zeros((*own, m, n), dtype=query.dtype) if return_weights else None
    together = batch == own
    _run(query, key, value, run, output, weights if together else None)
    if weights is None:
        return output
    if not together:  # values have leading axes of their own: the weights are computed without them
        nothing = np.empty((n, 0), dtype=query.dtype)
        _run(query, key, nothing, run, np.empty((*own, m, 0), dtype=query.dtype), weights)
    return AttentionResult(output, weights)


def _run(query: Array, key: Array, value: Array, run: Run, output: Array, weights: Array | None) -> None:
    batch, dtype = output.shape[:-2], query.dtype
    m, d, e, n = query.shape[-2], query.shape[-1], value.shape[-1], key.shape[-2]
    mask, bias, units, center = run.mask, run.bias, run.units, run.center
    if bias is not None and bias.dtype not in (np.float32, np.float64):
        bias = bias.astype(dtype)
    nothing = lay(np.zeros((1, 1), dtype=dtype), batch)
    numbers = np.array([run.scale, 1.0 if run.width is None else run.width], dtype=dtype)
    operands: list[Laid] = [
        *(lay(x, batch) for x in (query, key, value)),
        nothing if units is None else lay(np.ascontiguousarray(units)[None], ()),
        nothing if center is None else lay(center[..., None], batch),
        lay(run.bounds, batch),
        nothing if mask is None else lay(mask, batch),
        nothing if bias is None else lay(bias, batch),
        lay(numbers[None], ()),
    ]
    lengths = lean(run.bounds)[..., 1] - lean(run.bounds)[..., 0]
    longest = max(0, int(lengths.max(initial=0)))
    members = math.prod(batch)
    pairs = members * int(np.maximum(lengths, 0).sum()) // max(1, math.prod(lengths.shape[:-1]))
    has = (units is not None, center is not None, run.width is not None, mask is not None)
    launch(
        kernels_of(build_runs, dtype),
        members * m,
        operands,
        (
            *(output, 0 if weights is None else weights, m, d, e, n),
            *(int(flag) for flag in has),
            0 if bias is None else bias.dtype.itemsize,
        ),
        (longest,),
        dtype,
        pairs * (d * (1 if units is None else UNIT) + e),
    )


def _by_rows(array: Array) -> Array:
    """Return an array whose rows are contiguous: itself, or a copy of what it holds."""
    own = lean(array)
    if array.shape[-1] <= 1 or (array.strides[-1] == array.itemsize and array.flags.aligned):
        return array
    return np.broadcast_to(np.ascontiguousarray(own), array.shape)
