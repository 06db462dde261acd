"""The memory of Titans with two layers on Numba-CUDA: one block of threads trains the network of one head.

Everything a token writes depends on all of the network, so a head goes to one block, whose threads share the units and
the channels. The tokens of a chunk (or as many of them as a tile holds) are taken together: their gradients are those
at the weights from the start of the chunk, and their steps are unrolled as in `rates`, which makes each layer a linear
memory whose keys are the tokens' keys, or what the first layer makes of them.

Bound by the bytes of the weights from the second-level cache, six matrices of d h or h e numbers read about twice per
tile: the larger the chunk, the fewer. Few heads leave a GPU nearly empty.

Results differ from the reference by rounding only.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from attlas_ref.contract import NetworkResult, NetworkState

from ..operands import dtype_of, lay_out, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, entry
from ..rows import RowBlock, default_row_block
from ..rules import Real
from ..target import allocate, cuda, device, kernel, launch, shaped
from .activations import ACTIVATIONS, GELU, build_activated, build_gelu_slope
from .rates import build_unrolled
from .titans import KEY, QUERY, TOKENS, VALUE, laid_out_rates, started


@functools.cache
def build_learned(real: Real) -> Callable[..., Any]:
    """Build the pass over a layer's weights and surprises that adds what a tile of tokens has written."""
    zero = real(0)

    @device
    def learned(
        weight, moved, point, begins, start, rows, columns, inputs, inputs_start, row_step, column_step, slopes,
        slopes_start, mixing, kept, pushed, last, count, thread, threads,
    ):  # fmt: skip
        for place in range(thread, rows * columns, threads):
            row = place // columns
            column = place % columns
            at = start + place
            if begins:
                point[at] = weight[at]
            of_weight = zero
            of_moved = zero
            for i in range(count):
                gradient = slopes[slopes_start + i * columns + column]
                gradient *= inputs[inputs_start + i * row_step + row * column_step]
                of_weight += mixing[count - 1, i] * gradient
                of_moved += last[i] * gradient
            weight[at] = kept[count - 1] * weight[at] + pushed[count - 1] * moved[at] - of_weight
            moved[at] = last[count] * moved[at] - of_moved

    return learned


@functools.cache
def build_network(block: RowBlock, tokens: int, real: Real) -> Any:
    """Build the kernel.

    Layers, their surprises and the points at which gradients are taken are (members, d, h) and (members, h, e); scratch
    is (members, tokens, h) three times and (members, tokens, e).
    """
    unrolled, learned = build_unrolled(real), build_learned(real)
    activated, gelu_slope = build_activated(real), build_gelu_slope(real)
    across, threads = block.across, block.count
    square, row = (tokens, tokens + 1), tokens + 1
    zero, one, two = real(0), real(1), real(2)

    def network(
        first, block_count, n, d, h, e, chunk, activation, query, key, value, layout, lr, momentum, decay, rates,
        weight1, weight2, moved1, moved2, point1, point2, hidden, slopes, asked, errors, output,
    ):  # fmt: skip
        mixing = cuda.shared.array(square, real)
        products = cuda.shared.array(square, real)
        kept = cuda.shared.array(row, real)
        pushed = cuda.shared.array(row, real)
        last = cuda.shared.array(row, real)
        thread = cuda.threadIdx.y * across + cuda.threadIdx.x
        batch = first + cuda.blockIdx.x
        if batch >= block_count:
            return
        start1 = batch * d * h
        start2 = batch * h * e
        units = batch * tokens * h
        channels = batch * tokens * e
        t0 = 0
        while t0 < n:
            since = t0 % chunk
            count = min(n - t0, min(tokens, chunk - since))
            begins = since == 0
            cuda.syncthreads()  # until all are done with the tile before
            unrolled(mixing, kept, pushed, last, lr, momentum, decay, rates, batch, t0, count, one, thread, threads)
            for pair in range(thread, count * count, threads):
                t = pair // count
                i = pair % count
                total = zero
                for c in range(d if i <= t else 0):
                    total += entry(query, layout, QUERY, batch, t0 + t, c) * entry(key, layout, KEY, batch, t0 + i, c)
                products[t, i] = total
            for place in range(thread, count * h, threads):
                t = place // h
                total = zero
                for c in range(d):
                    at = start1 + c * h + place % h
                    total += entry(key, layout, KEY, batch, t0 + t, c) * (weight1[at] if begins else point1[at])
                hidden[units + place] = activated(total, activation)
                slopes[units + place] = gelu_slope(total) if activation == GELU else one
            cuda.syncthreads()  # until the first layer has answered the keys
            for place in range(thread, count * e, threads):
                t = place // e
                total = zero
                for unit in range(h):
                    at = start2 + unit * e + place % e
                    total += hidden[units + t * h + unit] * (weight2[at] if begins else point2[at])
                errors[channels + place] = two * (total - entry(value, layout, VALUE, batch, t0 + t, place % e))
            cuda.syncthreads()  # until the errors are known
            for place in range(thread, count * h, threads):
                t = place // h
                total = zero
                for c in range(e):
                    at = start2 + place % h * e + c
                    total += errors[channels + t * e + c] * (weight2[at] if begins else point2[at])
                slopes[units + place] *= total
            cuda.syncthreads()  # until the errors have come back to the first layer
            for place in range(thread, count * h, threads):
                t = place // h
                unit = place % h
                stored = zero
                moved = zero
                for c in range(d):
                    number = entry(query, layout, QUERY, batch, t0 + t, c)
                    stored += number * weight1[start1 + c * h + unit]
                    moved += number * moved1[start1 + c * h + unit]
                written = zero
                for i in range(t + 1):
                    written += mixing[t, i] * products[t, i] * slopes[units + i * h + unit]
                asked[units + place] = activated(kept[t] * stored + pushed[t] * moved - written, activation)
            cuda.syncthreads()  # until the first layer has answered the queries
            learned(
                weight1, moved1, point1, begins, start1, d, h,
                key, layout[KEY, FIRST_MEMBER + batch] + t0 * layout[KEY, ROW_STEP], layout[KEY, ROW_STEP],
                layout[KEY, COLUMN_STEP], slopes, units, mixing, kept, pushed, last, count, thread, threads,
            )  # fmt: skip
            for pair in range(thread, count * count, threads):
                t = pair // count
                i = pair % count
                total = zero
                for unit in range(h if i <= t else 0):
                    total += asked[units + t * h + unit] * hidden[units + i * h + unit]
                products[t, i] = total
            cuda.syncthreads()  # until the products of the second layer are known
            for place in range(thread, count * e, threads):
                t = place // e
                c = place % e
                stored = zero
                moved = zero
                for unit in range(h):
                    number = asked[units + t * h + unit]
                    stored += number * weight2[start2 + unit * e + c]
                    moved += number * moved2[start2 + unit * e + c]
                written = zero
                for i in range(t + 1):
                    written += mixing[t, i] * products[t, i] * errors[channels + i * e + c]
                output[(batch * n + t0 + t) * e + c] = kept[t] * stored + pushed[t] * moved - written
            cuda.syncthreads()  # until the second layer has been read
            learned(
                weight2, moved2, point2, begins, start2, h, e, hidden, units, h, 1, errors, channels,
                mixing, kept, pushed, last, count, thread, threads,
            )  # fmt: skip
            t0 += count

    return kernel(network)


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
    """Compute `attlas_ref.titans_mlp_memory`."""
    (n, d), (h, e), dtype, block = shape_of(key)[-2:], shape_of(weight2)[-2:], dtype_of(query), default_row_block()
    batch = np.broadcast_shapes(
        *(shape_of(x)[:-2] for x in (query, key, value, weight1, weight2)),
        *(shape_of(rate)[:-1] for rate in (lr, momentum, decay)),
    )
    layers = [started(weight, batch, shape_of(weight)[-2:], dtype) for weight in (weight1, weight2)]
    moved = [started(None, batch, layer.shape[-2:], dtype) for layer in layers]
    memories, layout = lay_out([query, key, value], batch)
    of_rates, rates = laid_out_rates(lr, momentum, decay, batch=batch)
    scratch = [allocate(layer.shape, dtype) for layer in layers]
    scratch += [allocate((*batch, TOKENS, width), dtype) for width in (h, h, h, e)]
    output = allocate((*batch, n, e), dtype)
    real: Any = dtype.type
    launch(
        build_network(block, TOKENS, real), math.prod(batch), block.threads,
        n, d, h, e, min(chunk_size, max(n, 1)), ACTIVATIONS.index(activation), *memories, layout, *of_rates, rates,
        *(part.memory for part in (*layers, *moved)), *scratch, output,
    )  # fmt: skip
    result = shaped(output, (*batch, n, e))
    return NetworkResult(result, NetworkState(*(layer.matrix for layer in layers))) if return_state else result
