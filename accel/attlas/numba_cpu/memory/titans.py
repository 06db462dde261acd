"""A linear memory that learns while it is read, on the CPU.

A task is a head and a few columns of its values: columns of the state never meet. With a chunk of one token it walks
over its state once per token (`step`), and the state stays in the cache. With longer chunks it takes blocks of tokens
at once (`unrolled`): a chunk, or `TOKENS` of a longer one, whose gradients keep to the state at the chunk's start.

Bound by: 5 d e operations per token; loads of the state in the first form, multiply-adds in the second, which adds
b (d + e / 2) of them for blocks of b tokens (and b d again for every further group of columns). Time is linear in the
number of tokens, memory is the state.
A column is summed in the same order in whatever group it stands, so neither the groups nor the threads change a bit.
Differs from the reference by rounding; with chunks, by the order in which the recurrence is summed.
"""

import math
from typing import Any

import numpy as np

from attlas_ref.contract import MemoryResult, MemoryState

from ...threads import get_num_threads
from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..real import Real
from ..vector import HOST, lanes_of, multiply
from . import unrolled
from .step import VECTORS, walk_one, walk_two
from .unrolled import Woven, unrolled_of

__all__ = ["titans_memory"]


def _load(state, matrix, at, first, used, rows, lanes):
    """Take some columns of a state side by side; padded lanes hold 0."""
    fill(state, rows * lanes, 0)
    for row in range(rows):
        start = at + row * matrix.row + first * matrix.column
        for lane in range(used):
            state[row * lanes + lane] = matrix.memory[start + lane * matrix.column]


def _store(result, at, step, state, rows, used, lanes):
    """Put columns into contiguous rows of a result."""
    for row in range(rows):
        for lane in range(used):
            result[at + row * step + lane] = state[row * lanes + lane]


load: Any = part(_load)
store: Any = part(_store)


def build_scan(real: Real) -> Any:
    """Make the kernel of chunks of one token.

    Operands: query, key, value, lr, momentum, decay, memory, surprise. Results: output, memory, surprise (the last two
    may be 0); n, d, e and the columns of a task. Scratch: memory, surprise, written, out, next.
    """
    zero, one, two = real.number(0), real.number(1), real.number(2)
    open_matrix, reals = opener(real), real.pointer
    width = lanes_of(real.dtype)

    def scan(start, stop, operands, scratch, results):
        query, key, value = open_matrix(operands, 0), open_matrix(operands, 1), open_matrix(operands, 2)
        lr, momentum, decay = open_matrix(operands, 3), open_matrix(operands, 4), open_matrix(operands, 5)
        first_memory, first_surprise = open_matrix(operands, 6), open_matrix(operands, 7)
        output, last_memory, last_surprise = reals(results[0]), reals(results[1]), reals(results[2])
        n, d, e, columns = results[3], results[4], results[5], results[6]
        memory, surprise, written = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        out, following = reals(scratch[3]), reals(scratch[4])
        groups = (e + columns - 1) // columns
        for task in range(start, stop):
            member, first = task // groups, task % groups * columns
            used = min(columns, e - first)
            lanes = width if used <= width else VECTORS * width
            load(memory, first_memory, first_memory.places[member], first, used, d, lanes)
            load(surprise, first_surprise, first_surprise.places[member], first, used, d, lanes)
            fill(written, lanes, zero)
            q_at, k_at, v_at = query.places[member], key.places[member], value.places[member]
            if n > 0:
                multiply(following, memory, key, k_at, key.row, key.column, 1, d, lanes, width, following)
            for t in range(n):
                theta = two * lr.memory[lr.places[member] + t * lr.row]
                eta = momentum.memory[momentum.places[member] + t * momentum.row]
                keep = one - decay.memory[decay.places[member] + t * decay.row]
                at = v_at + t * value.row + first * value.column
                for lane in range(used):
                    written[lane] = theta * (value.memory[at + lane * value.column] - following[lane])
                k, ahead = k_at + t * key.row, k_at + min(t + 1, n - 1) * key.row
                q = q_at + t * query.row
                if lanes == width:
                    walk_one(
                        memory, surprise, d, query.memory, q, query.column, key.memory, k, key.column, ahead, keep,
                        eta, written, out, following,
                    )  # fmt: skip
                else:
                    walk_two(
                        memory, surprise, d, query.memory, q, query.column, key.memory, k, key.column, ahead, keep,
                        eta, written, out, following,
                    )  # fmt: skip
                store(output, (member * n + t) * e + first, e, out, 1, used, lanes)
            if results[1]:
                store(last_memory, member * d * e + first, e, memory, d, used, lanes)
                store(last_surprise, member * d * e + first, e, surprise, d, used, lanes)

    return kernel(scan, f"titans-scan-{real.dtype}")


def build_chunked(real: Real) -> Any:
    """Make the kernel of longer chunks.

    Operands as `build_scan`; results too, and then the tokens of a chunk and of a block. Scratch: memory, surprise and
    the memory at the chunk's start, three blocks of lanes, the packed keys, gram, the fields of `Woven`, ones, factor.
    """
    zero, one, two = real.number(0), real.number(1), real.number(2)
    open_matrix, reals = opener(real), real.pointer
    width = lanes_of(real.dtype)
    weave, relate, read, write = unrolled_of(real)

    def chunked(start, stop, operands, scratch, results):
        query, key, value = open_matrix(operands, 0), open_matrix(operands, 1), open_matrix(operands, 2)
        lr, momentum, decay = open_matrix(operands, 3), open_matrix(operands, 4), open_matrix(operands, 5)
        first_memory, first_surprise = open_matrix(operands, 6), open_matrix(operands, 7)
        output, last_memory, last_surprise = reals(results[0]), reals(results[1]), reals(results[2])
        n, d, e, columns, chunk, longest = results[3], results[4], results[5], results[6], results[7], results[8]
        memory, surprise = reals(scratch[0]), reals(scratch[1])
        point = reals(scratch[2]) if chunk > longest else memory
        written, out, spare = reals(scratch[3]), reals(scratch[4]), reals(scratch[5])
        packed, gram = reals(scratch[6]), reals(scratch[7])
        woven = Woven(reals(scratch[8]), reals(scratch[9]), reals(scratch[10]), reals(scratch[11]), reals(scratch[12]))
        ones, factor = reals(scratch[13]), reals(scratch[14])
        groups = (e + columns - 1) // columns
        for task in range(start, stop):
            member, first = task // groups, task % groups * columns
            used = min(columns, e - first)
            lanes = (used + width - 1) // width * width
            load(memory, first_memory, first_memory.places[member], first, used, d, lanes)
            load(surprise, first_surprise, first_surprise.places[member], first, used, d, lanes)
            fill(ones, lanes, one)
            for begin in range(0, n, chunk):
                end = min(n, begin + chunk)
                if chunk > longest:  # else the memory moves only after the block
                    for i in range(d * lanes):
                        point[i] = memory[i]
                for t in range(begin, end, longest):
                    tokens = min(longest, end - t)
                    side = (tokens + width - 1) // width * width
                    q_at, k_at = query.places[member] + t * query.row, key.places[member] + t * key.row
                    multiply(written, point, key, k_at, key.row, key.column, tokens, d, lanes, width, ones)
                    for s in range(tokens):
                        theta = two * lr.memory[lr.places[member] + (t + s) * lr.row]
                        at = value.places[member] + (t + s) * value.row + first * value.column
                        for lane in range(used):
                            number = value.memory[at + lane * value.column]
                            written[s * lanes + lane] = theta * (number - written[s * lanes + lane])
                        for lane in range(used, lanes):
                            written[s * lanes + lane] = zero
                    fading = weave(
                        woven, momentum, decay, momentum.places[member] + t * momentum.row,
                        decay.places[member] + t * decay.row, tokens, side,
                    )  # fmt: skip
                    relate(gram, packed, woven, query, q_at, key, k_at, tokens, side, d, width, ones)
                    read(
                        out, spare, memory, surprise, written, gram, woven, query, q_at, tokens, side, d, lanes, width,
                        ones,
                    )  # fmt: skip
                    write(memory, surprise, written, spare, factor, woven, fading, key, k_at, tokens, d, lanes, width)
                    store(output, (member * n + t) * e + first, e, out, tokens, used, lanes)
            if results[1]:
                store(last_memory, member * d * e + first, e, memory, d, used, lanes)
                store(last_surprise, member * d * e + first, e, surprise, d, used, lanes)

    return kernel(chunked, f"titans-chunked-{real.dtype}")


def titans_memory(
    query: Array,
    key: Array,
    value: Array,
    *,
    lr: Array,
    momentum: Array,
    decay: Array,
    memory: Array | None,
    surprise: Array | None,
    chunk_size: int,
    return_state: bool,
) -> Any:
    """See `attlas_ref.memory.titans_memory`."""
    dtype, (n, d), e = query.dtype, query.shape[-2:], value.shape[-1]
    nothing = np.zeros((1, 1), dtype=dtype)  # stands for a state of zeros of any shape
    states = [nothing if state is None else state for state in (memory, surprise)]
    arrays = [query, key, value, *(rate[..., None] for rate in (lr, momentum, decay)), *states]
    batch = np.broadcast_shapes(*(array.shape[:-2] for array in arrays))
    output = np.empty((*batch, n, e), dtype=dtype)
    state = [np.empty((*batch, d, e), dtype=dtype) if return_state else None for _ in states]
    width, members, chunk = lanes_of(dtype), math.prod(batch), min(chunk_size, max(n, 1))
    block = min(chunk, unrolled.TOKENS)
    vectors = VECTORS if chunk == 1 or members < get_num_threads() else HOST.vectors
    columns = vectors * width
    lanes, side = min(columns, -(-e // width) * width), -(-block // width) * width
    scratch: tuple[int, ...] = d * lanes, d * lanes, lanes, lanes, lanes
    if chunk > 1:
        scratch = (
            *(3 * (d * lanes,)), *(3 * (block * lanes,)), d * side, block * side, block * side, side, side, side, side,
            lanes, lanes,
        )  # fmt: skip
    launch(
        kernels_of(build_scan if chunk == 1 else build_chunked, dtype),
        members * -(-e // columns),
        [lay(array, batch) for array in arrays],
        (output, *(0 if array is None else array for array in state), n, d, e, columns, chunk, block),
        scratch,
        dtype,
        5 * members * n * d * e,
    )
    return MemoryResult(output, MemoryState(*state)) if return_state else output
