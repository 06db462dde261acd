"""Feed-forward layers as memories on Numba-CUDA.

`ffn_memory` is the tile with an activation for its weight and no normalization: bound by operations, m h (d + e)
multiply-adds, streamed over the slots. `ffnified_attention` is two depth-wise convolutions: bound by bytes where the
kernels are small, else by reads from the first-level cache, one per multiply-add. Neighboring threads have neighboring
channels; no array of patches is made.

Results differ from the reference by rounding only.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..bands import ceil
from ..blocks import default_block
from ..dense import Attention, attend
from ..learned import linear
from ..operands import dtype_of, lay_out, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP
from ..rules import Real, relu, softmax
from ..target import allocate, cuda, kernel, launch, shaped
from ..views import as_row
from .activations import ACTIVATIONS, build_activated, gelu, silu

RULES = {"gelu": gelu, "relu": relu, "silu": silu, "identity": linear, "softmax": softmax}


def ffn_memory(query: Any, key_memory: Any, value_memory: Any, *, activation: str, return_weights: bool) -> Any:
    """Compute `attlas_ref.ffn_memory`."""
    attention = Attention(RULES[activation], query, key_memory, value_memory, mask=None, bias=None, scale=1.0)
    return attend(attention, return_weights, normalized=activation == "softmax")


ONLY = 0
"""The row of a table with one operand."""


@functools.cache
def build_depthwise(real: Real) -> Any:
    """Build the kernel of one convolution, its bias and its activation; a thread makes one entry.

    The tables have a member for each line: of the images, of the kernels.
    """
    activated, zero = build_activated(real), real(0)

    def depthwise(
        first, block_count, lines, width, depth, source, layout, taps, placed, rows, columns, bias, related,
        activation, output,
    ):  # fmt: skip
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        parts = (width * depth + threads - 1) // threads
        place = index % parts * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= width * depth:
            return
        line = index // parts
        y = line % lines
        image = line // lines
        x = place // depth
        c = place % depth
        total = zero
        for a in range(rows):
            above = y + a - rows // 2
            kernel_at = placed[ONLY, FIRST_MEMBER + image * rows + a] + c * placed[ONLY, COLUMN_STEP]
            part = zero  # shorter sums round less
            for b in range(columns):
                beside = x + b - columns // 2
                number = zero
                if above >= 0 and above < lines and beside >= 0 and beside < width:
                    start = layout[ONLY, FIRST_MEMBER + image * lines + above]
                    number = source[start + beside * layout[ONLY, ROW_STEP] + c * layout[ONLY, COLUMN_STEP]]
                part += number * taps[kernel_at + b * placed[ONLY, ROW_STEP]]
            total += part
        total += bias[related[ONLY, FIRST_MEMBER] + c * related[ONLY, COLUMN_STEP]]
        output[(line * width + x) * depth + c] = activated(total, activation)

    return kernel(depthwise)


def _depthwise(image: Any, taps: Any, bias: Any, activation: str) -> Any:
    """Return the activation of a convolution: (..., H, W, C) with (..., p, q, C)."""
    *_, height, width, channels = shape_of(image)
    *_, rows, columns, _ = shape_of(taps)
    batch = np.broadcast_shapes(shape_of(image)[:-3], shape_of(taps)[:-3])
    dtype, block = dtype_of(image), default_block(dtype_of(image))
    real: Any = dtype.type
    (source,), layout = lay_out([image], (*batch, height))
    (kernels,), placed = lay_out([taps], (*batch, rows))
    (added,), related = lay_out([np.zeros((1, 1), dtype) if bias is None else as_row(bias)], ())
    shape = (*batch, height, width, channels)
    output = allocate(shape, dtype)
    launch(
        build_depthwise(real),
        math.prod(batch) * height * ceil(width * channels, block.across * block.down), block.threads,
        height, width, channels, source, layout, kernels, placed, rows, columns, added, related,
        ACTIVATIONS.index(activation), output,
    )  # fmt: skip
    return shaped(output, shape)


def ffnified_attention(
    query: Any,
    kernel_key: Any,
    kernel_value: Any,
    *,
    bias_key: Any,
    bias_value: Any,
    activation: str,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.ffnified_attention`."""
    weights = _depthwise(query, kernel_key, bias_key, activation)
    output = _depthwise(weights, kernel_value, bias_value, "identity")
    return AttentionResult(output, weights) if return_weights else output
