"""Selective attention: the scores of one head mask earlier tokens for the later queries of all heads.

F_ij, what the tokens before i have selected of key j, is a running sum over queries. A task is one chunk of queries of
all heads. It carries the sums of all columns, n numbers, from block to block; a first pass over the selecting head
alone finds where each chunk begins. Within a task every tile of F is made once, from the selecting head's scores, and
subtracted from the scores of each head, which then are streamed as in `tile`.

Bound by: multiply-adds, about h n² (d + e) / 2 of them, and n² d more for the selecting head (half of it in the first
pass). Memory: n numbers per chunk, of which there are at most `CHUNKS`, and the queries and sums of all heads for one
block.
Chunks are cut by n alone, so neither threads nor the rest of the batch change a bit.
Differs from the reference by rounding: F is summed in the order of the queries, chunk by chunk, and never by taking
away a term again.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionResult

from ..threads import get_num_threads
from . import pool
from .attention import dot_scale, kernels_of, lay_out_scores, score_batch
from .blocks import fill, pack
from .compile import kernel, part, ready
from .operands import ORDER, WORTH_A_THREAD, Array, Problem, Workspace, lay_out
from .pointers import Matrix, head_at
from .real import Real
from .tile import build_parts, scaled_score, softmax
from .turns import Turns, only

CHUNKS = 64


class SelectiveKernels(NamedTuple):
    """Both kernels take tasks (outer batch member, chunk), and as results a table:

    starts (outer, chunks, n), output (..., n, e), weights (..., n, n) or 0, and then numbers: chunks, blocks in a
    chunk, heads, the selecting head, whether key 0 can be selected.
    """

    real: Real
    select: Any
    """Adds the selections of each chunk to `starts`."""
    forward: Any
    """Uses `starts`, the sums before each chunk, up."""


def build_selective(real: Real) -> SelectiveKernels:
    """Parameters (scale,)."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    begin, scores, add_rows = build_parts(real, scaled_score, False)
    advance, weigh = softmax(real)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def selection(score, token, key, first_key):
        """What a token selects of a key: never itself nor the future."""
        positive = zero if score <= zero else score  # a NaN stays
        return positive if (key < token) & (key >= first_key) else zero

    selection = part(selection, of=str(real.dtype), inline=True)

    def add_up(scratch, sums, at, first, used, lanes, row, rows, first_key, store):
        """Turn a tile of the selecting head's scores into F, in `scratch.slopes`; with `store`, sums go on.

        Rows of a tile are independent: four at a time, since each is a chain of additions.
        """
        tile, masked = scratch.scores, scratch.slopes
        r = 0
        while r < rows:
            s0, s1, s2, s3 = r, min(r + 1, rows - 1), min(r + 2, rows - 1), min(r + 3, rows - 1)
            a, b, c, d = sums[at + s0], sums[at + s1], sums[at + s2], sums[at + s3]
            for lane in range(used):
                token = first + lane
                masked[s0 * lanes + lane] = a
                masked[s1 * lanes + lane] = b
                masked[s2 * lanes + lane] = c
                masked[s3 * lanes + lane] = d
                a += selection(tile[s0 * lanes + lane], token, row + s0, first_key)
                b += selection(tile[s1 * lanes + lane], token, row + s1, first_key)
                c += selection(tile[s2 * lanes + lane], token, row + s2, first_key)
                d += selection(tile[s3 * lanes + lane], token, row + s3, first_key)
            if store:
                sums[at + s0] = a
                sums[at + s1] = b
                sums[at + s2] = c
                sums[at + s3] = d
            r += 4

    add_up = part(add_up, of=str(real.dtype))

    def select(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        starts, chunks, length = reals(results[0]), results[3], results[4]
        heads, chosen, first_key = results[5], results[6], results[7]
        size = operands.size
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            chunk = task % chunks
            member = task // chunks * heads + chosen
            for block in range(chunk * length, min(blocks, (chunk + 1) * length)):
                _, first, used, lanes = begin(operands, scratch, member * blocks + block, blocks)
                end = first + used
                for row in range(0, end, size.keys):
                    rows = min(size.keys, end - row)
                    scores(operands, scratch, member, first, used, lanes, row, rows)
                    add_up(scratch, starts, task * size.n + row, first, used, lanes, row, rows, first_key, True)

    def forward(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        starts, output, weights, chunks, length = (
            reals(results[0]), reals(results[1]), reals(results[2]), results[3], results[4]
        )  # fmt: skip
        heads, chosen, first_key = results[5], results[6], results[7]
        size, query = operands.size, operands.query
        blocks = (size.m + size.queries - 1) // size.queries
        sweeps = 2 if results[2] else 1
        for task in range(start, stop):
            chunk, outer = task % chunks, task // chunks * heads
            for block in range(chunk * length, min(blocks, (chunk + 1) * length)):
                first = block * size.queries
                used = min(size.queries, size.m - first)
                lanes = (used + size.width - 1) // size.width * size.width
                for head in range(heads):
                    at = query.places[outer + head] + first * query.row
                    pack(head_at(scratch, head, size.d, size.e, lanes).packed, query, at, used, lanes, size.d, zero)
                fill(scratch.sums, heads * size.e * lanes, zero)
                fill(scratch.maximum, heads * lanes, -infinity)
                fill(scratch.total, heads * lanes, zero)
                end = first + used
                for sweep in range(sweeps):
                    for row in range(0, end, size.keys):
                        rows = min(size.keys, end - row)
                        here = head_at(scratch, chosen, size.d, size.e, lanes)
                        scores(operands, here, outer + chosen, first, used, lanes, row, rows)
                        last = sweep == sweeps - 1
                        add_up(scratch, starts, task * size.n + row, first, used, lanes, row, rows, first_key, last)
                        for head in range(heads):
                            here = head_at(scratch, head, size.d, size.e, lanes)
                            hidden = scores(operands, here, outer + head, first, used, lanes, row, rows)
                            for i in range(rows * lanes):
                                here.scores[i] -= here.slopes[i]
                            if sweep == 0:
                                advance(operands, here, lanes, rows, hidden)
                                add_rows(
                                    operands, here, here.sums, here.scores, operands.value, size.e, outer + head,
                                    lanes, row, rows, hidden,
                                )  # fmt: skip
                                continue
                            for lane in range(used):
                                target = ((outer + head) * size.m + first + lane) * size.n + row
                                shift = zero if here.maximum[lane] == -infinity else here.maximum[lane]
                                divisor = one if here.total[lane] == zero else here.total[lane]
                                for r in range(min(rows, first + lane - row + 1)):
                                    score = here.scores[r * lanes + lane]
                                    weights[target + r] = weigh(score, shift, operands.parameters) / divisor
                for head in range(heads):
                    here = head_at(scratch, head, size.d, size.e, lanes)
                    for lane in range(used):
                        target = ((outer + head) * size.m + first + lane) * size.e
                        divisor = one if here.total[lane] == zero else here.total[lane]
                        for column in range(size.e):
                            output[target + column] = here.sums[column * lanes + lane] / divisor

    return SelectiveKernels(
        real, kernel(select, f"selective-select-{real.dtype}"), kernel(forward, f"selective-forward-{real.dtype}")
    )


@dataclass(frozen=True)
class _Chunks:
    """A call cut into tasks."""

    problem: Problem
    chosen: int
    first_key: int

    @property
    def heads(self) -> int:
        return self.problem.batch[-1]

    @property
    def outer(self) -> int:
        return math.prod(self.problem.batch[:-1])

    @property
    def length(self) -> int:
        """Blocks in a chunk."""
        blocks = -(-self.problem.size.m // self.problem.size.queries)
        return max(1, -(-blocks // CHUNKS))

    @property
    def chunks(self) -> int:
        return -(-self.problem.size.m // (self.problem.size.queries * self.length))

    def run(self, kernel: Any, starts: Array, output: Array | None, weights: Array | None) -> None:
        """Run a kernel over all tasks."""
        problem, size = self.problem, self.problem.size
        addresses = [0 if array is None else array.ctypes.data for array in (starts, output, weights)]
        results = np.array(
            [*addresses, self.chunks, self.length, self.heads, self.chosen, self.first_key], dtype=np.int64
        )
        operands = problem.table()
        ready(kernel)

        def worker() -> pool.Work:
            workspace = Workspace(size, problem.dtype, heads=self.heads)

            def work(turns: Turns) -> None:
                if problem.late_bias is None:
                    kernel(turns, operands, workspace.table, results)
                    return
                with pool.taken(turns) as tasks:
                    for task in tasks:
                        table = operands.copy()
                        own, memory = self.bias_of(problem.late_bias, task)
                        at = ORDER.index("bias") * len(Matrix._fields)
                        table[at : at + len(Matrix._fields)] = own
                        kernel(only(task), table, workspace.table, results)
                        del memory

            return work

        multiply_adds = problem.members * size.m * size.n * (size.d + size.e) // 2
        threads = get_num_threads() if multiply_adds >= WORTH_A_THREAD else 1
        pool.run(self.outer * self.chunks, worker, threads, multiply_adds)

    def bias_of(self, bias: Array, task: int) -> tuple[Matrix, Any]:
        """The bias of one task in the right precision, laid out as if it were part of the whole."""
        problem, size = self.problem, self.problem.size
        outer, chunk = divmod(task, self.chunks)
        rows = self.length * size.queries
        first = chunk * rows
        own = bias[np.unravel_index(outer, problem.batch[:-1])] if len(problem.batch) > 1 else bias
        own = own[:1] if own.strides[0] == 0 else own
        own = np.array(own if own.shape[1] == 1 else own[:, first : first + rows], dtype=problem.dtype, order="C")
        head, row, column = (
            0 if n == 1 else step // own.itemsize for n, step in zip(own.shape, own.strides, strict=True)
        )
        places = np.zeros(problem.members, dtype=np.int64)
        places[outer * self.heads : (outer + 1) * self.heads] = np.arange(self.heads) * head - first * row
        return Matrix(own.ctypes.data, places.ctypes.data, row, column), (own, places)


def selective_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    select_head: int,
    keep_first: bool,
    scale: float | None,
    bias: Array | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.dotproduct.selective_attention`."""
    kernels = kernels_of(build_selective, query.dtype)
    options: dict[str, Any] = {
        "mask": None,
        "bias": bias,
        "diagonal": 0,
        "parameters": (dot_scale(scale, query),),
    }
    own = score_batch(query, key, bias)
    problem = lay_out(query, key, value, **options)
    output = problem.new(problem.size.m, problem.size.e)
    weights = np.zeros((*own, problem.size.m, problem.size.n), dtype=query.dtype) if return_weights else None
    together = problem.batch == own
    _attend(problem, kernels, select_head, keep_first, output, weights if together else None)
    if weights is None:
        return output
    if not together:  # values have leading axes of their own: the weights are computed without them
        problem = lay_out_scores(query, key, **options)
        _attend(problem, kernels, select_head, keep_first, problem.new(problem.size.m, 0), weights)
    return AttentionResult(output, weights)


def _attend(
    problem: Problem, kernels: SelectiveKernels, chosen: int, keep_first: bool, output: Array, weights: Array | None
) -> None:
    call = _Chunks(problem, chosen, int(keep_first))
    starts = np.zeros((call.outer, call.chunks, problem.size.n), dtype=problem.dtype)
    if call.chunks > 1:
        call.run(kernels.select, starts, None, None)
        # From the sums of each chunk to those of all before it.
        starts[:, 1:] = np.cumsum(starts[:, :-1], axis=1)
        starts[:, 0] = 0
    call.run(kernels.forward, starts, output, weights)
