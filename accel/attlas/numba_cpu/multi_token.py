"""Multi-token attention on the CPU: what a call needs, how it is cut, its launch; `multi_token_windows` computes it."""

from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionResult

from ..threads import get_num_threads
from . import pool
from .attention import dot_scale, kernels_of, lay_out_scores, score_batch
from .compile import ready
from .multi_token_windows import ROWS, Plan, Windows, build_multi_token
from .operands import WORTH_A_THREAD, Array, Pieces, Problem, lay_out
from .pointers import Sizes
from .threshold import unit_rms
from .vector import HOST

__all__ = ["multi_token_attention"]

KEYS = 64
"""Per window at most: fewer than elsewhere, since the windows of all heads are in use together."""


class _Taps(NamedTuple):
    """One convolution, as the kernel reads it."""

    memory: Array | None
    queries: int
    keys: int
    left: int


def _taps(given: Array | None, pad_key: str) -> _Taps:
    if given is None:
        return _Taps(None, 0, 0, 0)
    queries, keys = given.shape[-2:]
    left = {"both": (keys - 1) // 2, "left": keys - 1, "right": 0}[pad_key]
    padded = np.zeros((given.shape[0], queries, keys + 2 * (ROWS - 1)), dtype=given.dtype)
    padded[..., ROWS - 1 : ROWS - 1 + keys] = given
    return _Taps(padded, queries, keys, left)


def _address(array: Array | None) -> int:
    return 0 if array is None else array.ctypes.data


def _lanes(size: Sizes, halo: int) -> int:
    """Lanes of a block: whole vectors and, if many, whole register tiles; the halo is at most half of them."""
    full = size.width * HOST.vectors
    enough = min(max(size.queries, 2 * halo), size.m + halo)
    lanes = -(-enough // size.width) * size.width
    return lanes if lanes <= full else -(-lanes // full) * full


def multi_token_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    key_query_kernel: Array | None,
    post_kernel: Array | None,
    pre_head_mixing: Array | None,
    head_kernel: Array | None,
    post_head_mixing: Array | None,
    norm_weight: Array | None,
    norm_eps: float,
    norm_scale: float,
    pad_key: str,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.dotproduct.multi_token_attention`."""
    mixing = head_kernel if post_head_mixing is None else post_head_mixing[None]
    call = _Call(
        _taps(key_query_kernel, pad_key),
        _taps(post_kernel, pad_key),
        None if pre_head_mixing is None else np.ascontiguousarray(pre_head_mixing),
        None if mixing is None else np.ascontiguousarray(mixing),
    )
    options: dict[str, Any] = {"mask": None, "bias": None, "diagonal": 0, "parameters": (dot_scale(scale, query),)}
    own = score_batch(query, key)
    problem = lay_out(query, key, value, **options)
    n = problem.size.n
    output = problem.new(n, problem.size.e)
    weights = np.zeros((*own, n, n), dtype=query.dtype) if return_weights else None
    together = problem.batch == own
    call.run(problem, output, weights if together else None)
    if norm_weight is not None:
        output = np.asarray(unit_rms(output, norm_eps) * norm_weight * query.dtype.type(norm_scale))
    if weights is None:
        return output
    if not together:  # values have leading axes of their own: the weights are computed without them
        problem = lay_out_scores(query, key, **options)
        call.run(problem, problem.new(n, 0), weights)
    return AttentionResult(output, weights)


class _Call(NamedTuple):
    """What happens between scores and weights."""

    before: _Taps
    after: _Taps
    mix_before: Array | None
    mix_after: Array | None

    def run(self, problem: Problem, output: Array, weights: Array | None) -> None:
        """Compute all tasks."""
        size, heads = problem.size, problem.batch[-1]
        if size.n == 0:
            return
        mixed_after = 0 if self.mix_after is None else self.mix_after.shape[-1]
        together = heads if self.mix_before is not None else max(mixed_after, min(heads, 1))
        halo = max(self.before.queries - 1, 0) + max(self.after.queries - 1, 0)
        lanes, keys = _lanes(size, halo), min(KEYS, -(-size.keys // ROWS) * ROWS)
        plan = Plan(
            output=_address(output),
            weights=_address(weights),
            before=_address(self.before.memory),
            after=_address(self.after.memory),
            mix_before=_address(self.mix_before),
            mix_after=_address(self.mix_after),
            stores=int(weights is not None),
            heads=heads,
            together=together,
            lanes=lanes,
            keys=keys,
            halo=halo,
            before_queries=self.before.queries,
            before_keys=self.before.keys,
            before_left=self.before.left,
            after_queries=self.after.queries,
            after_keys=self.after.keys,
            after_left=self.after.left,
            mixed_before=0 if self.mix_before is None else heads,
            mixed_after=mixed_after,
        )
        operands, results = problem.table(), np.array(plan, dtype=np.int64)
        kernel = ready(kernels_of(build_multi_token, problem.dtype).forward)
        margin = keys + max(self.before.keys, self.after.keys) + ROWS
        window = together * keys * lanes
        counts = Windows(
            packed=together * size.d * lanes,
            margin=(margin + 1) * lanes,  # a line before, into which the first row's earlier queries reach
            first=window,
            second=window if mixed_after else 0,
            band=-(-size.n // keys) * window,
            sums=together * size.e * lanes,
            maximum=together * lanes,
            total=together * lanes,
            ones=lanes,
            line=lanes,
            visible=keys * lanes,
        )

        def worker() -> pool.Work:
            pieces = Pieces(counts, problem.dtype)
            return lambda turns: kernel(turns, operands, pieces.table, results)

        blocks = -(-size.m // (lanes - halo))
        tasks = blocks * (problem.members // together if together else 0)
        taps = self.before.queries * self.before.keys + self.after.queries * self.after.keys
        multiply_adds = problem.members * size.m * size.n * (size.d + size.e + taps + 2 * together) // 2
        pool.run(tasks, worker, get_num_threads() if multiply_adds >= WORTH_A_THREAD else 1, multiply_adds)
