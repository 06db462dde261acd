"""The register tile of depth-wise convolutions.

A vector holds the channels of one pixel. `PIXELS` accumulators stay in registers while the taps of one row of the
kernel slide along:

    out[pixel, lane] += Σ_tap  x[pixel + tap, lane] · y[tap, lane]

Bound by: loads, one for each multiply-add and one more for the tap, from the first level of the cache. LLVM's own
vectorizer keeps the sums in memory, so the tile is written as LLVM instructions, like that of `vector`.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..vector import HOST, INT

PIXELS = 8


@intrinsic
def add_taps(typing: Any, out: Any, out_at: Any, x: Any, x_at: Any, y: Any, y_at: Any, taps: Any) -> Any:
    """Add the taps of one row to `PIXELS` pixels; a pixel is one vector, and pixels stand side by side."""
    i = types.int64
    signature = types.void(out, i, x, i, y, i, i)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, out_at, x, x_at, y, y_at, taps = arguments
        scalar = context.get_data_type(signature.args[0].dtype)
        size = signature.args[0].dtype.bitwidth // 8
        width = HOST.bytes // size
        vector = ir.VectorType(scalar, width)

        def pixel(array: Any, at: Any, index: int) -> Any:
            element = builder.gep(array, [builder.add(at, ir.Constant(INT, index * width))])
            return builder.bitcast(element, vector.as_pointer())

        olds = [builder.load(pixel(out, out_at, p), align=size) for p in range(PIXELS)]
        before = builder.block
        body = builder.append_basic_block("taps.step")
        after = builder.append_basic_block("taps.end")
        builder.branch(body)  # a row has a tap at least
        with builder.goto_block(body):
            tap = builder.phi(INT)
            tap.add_incoming(ir.Constant(INT, 0), before)
            sums = [builder.phi(vector) for _ in olds]
            offset = builder.mul(tap, ir.Constant(INT, width))
            factor = builder.load(pixel(y, builder.add(y_at, offset), 0), align=size)
            start = builder.add(x_at, offset)
            results = []
            for p, total in enumerate(sums):
                product = builder.fmul(builder.load(pixel(x, start, p), align=size), factor, flags=("contract",))
                results.append(builder.fadd(product, total, flags=("contract",)))
            for total, old, result in zip(sums, olds, results, strict=True):
                total.add_incoming(old, before)
                total.add_incoming(result, body)
            following = builder.add(tap, ir.Constant(INT, 1))
            tap.add_incoming(following, body)
            builder.cbranch(builder.icmp_signed("<", following, taps), body, after)
        builder.position_at_end(after)
        for p, result in enumerate(results):
            builder.store(result, pixel(out, out_at, p), align=size)
        return context.get_dummy_value()

    return signature, generate
