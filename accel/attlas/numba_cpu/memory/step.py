"""One token of a linear memory: a single walk over its state that forgets, writes, reads and looks ahead.

For each row c of the state, a few vectors wide,

    S[c] = η S[c] + k[c] x,    M[c] = keep · M[c] + S[c],    out += q[c] M[c],    next += k'[c] M[c],

where x is what the token writes and k' the key of the token after it: what the new memory answers to that key is needed
before the next walk can begin, and costs no walk of its own.

Bound by: loads, five for each row and vector (two of the state, three numbers spread over a vector) beside two stores
and five operations, from the first level of the cache where the state fits there. Two vectors side by side are four
chains of additions, which hides their latency. Written as LLVM instructions, like the tile of `vector`.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..vector import HOST, INT

VECTORS = 2


def _walk(vectors: int) -> Any:
    """Make the walk over a state of so many rows.

    A row of the state holds so many vectors, as do `written`, `out` and `next`; `ahead_at` is where k' begins.
    """

    @intrinsic
    def walk(
        typing: Any,
        memory: Any,
        surprise: Any,
        rows: Any,
        query: Any,
        q_at: Any,
        q_step: Any,
        key: Any,
        k_at: Any,
        k_step: Any,
        ahead_at: Any,
        keep: Any,
        eta: Any,
        written: Any,
        out: Any,
        following: Any,
    ) -> Any:
        i, real = types.int64, memory.dtype
        signature = types.void(memory, surprise, i, query, i, i, key, i, i, i, real, real, written, out, following)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            memory, surprise, rows, query, q_at, q_step, key, k_at, k_step, ahead_at, *others = arguments
            keep, eta, written, out, following = others
            scalar = context.get_data_type(real)
            size = real.bitwidth // 8
            width = HOST.bytes // size
            vector = ir.VectorType(scalar, width)
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), width), None)

            def place(array: Any, at: Any, v: int) -> Any:
                element = builder.gep(array, [builder.add(at, ir.Constant(INT, v * width))])
                return builder.bitcast(element, vector.as_pointer())

            def spread(number: Any) -> Any:
                nothing = ir.Constant(vector, ir.Undefined)
                first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
                return builder.shuffle_vector(first, nothing, lanes)

            def number_of(array: Any, at: Any, step: Any, row: Any) -> Any:
                return spread(builder.load(builder.gep(array, [builder.add(at, builder.mul(row, step))])))

            def add(a: Any, b: Any, c: Any) -> Any:
                return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))

            zero, start = ir.Constant(vector, None), ir.Constant(INT, 0)
            keeps, etas = spread(keep), spread(eta)
            writes = [builder.load(place(written, start, v), align=size) for v in range(vectors)]
            before = builder.block
            body = builder.append_basic_block("walk.row")
            after = builder.append_basic_block("walk.end")
            builder.cbranch(builder.icmp_signed(">", rows, start), body, after)
            with builder.goto_block(body):
                row = builder.phi(INT)
                row.add_incoming(start, before)
                sums = [builder.phi(vector) for _ in range(2 * vectors)]
                q, k = number_of(query, q_at, q_step, row), number_of(key, k_at, k_step, row)
                ahead = number_of(key, ahead_at, k_step, row)
                at = builder.mul(row, ir.Constant(INT, vectors * width))
                results: list[Any] = []
                for v in range(vectors):
                    old_m, old_s = place(memory, at, v), place(surprise, at, v)
                    s = add(k, writes[v], builder.fmul(etas, builder.load(old_s, align=size), flags=("contract",)))
                    m = add(keeps, builder.load(old_m, align=size), s)
                    builder.store(s, old_s, align=size)
                    builder.store(m, old_m, align=size)
                    results += [add(q, m, sums[2 * v]), add(ahead, m, sums[2 * v + 1])]
                for total, result in zip(sums, results, strict=True):
                    total.add_incoming(zero, before)
                    total.add_incoming(result, body)
                next_row = builder.add(row, ir.Constant(INT, 1))
                row.add_incoming(next_row, body)
                builder.cbranch(builder.icmp_signed("<", next_row, rows), body, after)
            builder.position_at_end(after)
            totals = [builder.phi(vector) for _ in results]
            for total, result in zip(totals, results, strict=True):
                total.add_incoming(zero, before)
                total.add_incoming(result, body)
            for v in range(vectors):
                builder.store(totals[2 * v], place(out, start, v), align=size)
                builder.store(totals[2 * v + 1], place(following, start, v), align=size)
            return context.get_dummy_value()

        return signature, generate

    return walk


walk_one: Any = _walk(1)
walk_two: Any = _walk(VECTORS)
