"""Alignments as plain compiled loops, as one would write them in C++: the members of a batch side by side."""

import math
from typing import Any

import numba
import numpy as np
import torch

compiled = numba.njit(parallel=True, nogil=True, error_model="numpy")


def loop_monotonic_alignment(p_choose: Any) -> Any:
    """The recursion of the pointer, key by key."""
    return _filled(_align, p_choose.numpy().dtype.type(1), p_choose)


def loop_mocha_weights(alignment: Any, energy: Any, *, chunk_size: int) -> Any:
    """Sums over chunks of exponentials, one for each key."""
    return _filled(_attend, chunk_size, alignment, energy, torch.empty_like(energy))


def loop_monotonic_alignment_search(log_prob: Any) -> Any:
    """The search of Glow-TTS: sums in a copy of the logarithms, then the way back."""
    return _filled(_search, -np.inf, log_prob.clone(), dtype=torch.int64)


def _filled(function: Any, option: Any, *tensors: Any, dtype: Any = None) -> Any:
    """What a loop writes into zeros, of the shape of its first argument."""
    result = torch.zeros_like(tensors[0], dtype=dtype)
    function(option, *(x.reshape(-1, *x.shape[-2:]).numpy() for x in (*tensors, result)))
    return result


@compiled
def _align(one: Any, p: Any, result: Any) -> None:
    members, m, n = p.shape
    for b in numba.prange(members):
        for i in range(m):
            arriving = one if i == 0 else result[b, i - 1, 0]
            for j in range(n):
                result[b, i, j] = p[b, i, j] * arriving
                arriving *= one - p[b, i, j]
                if i > 0 and j + 1 < n:
                    arriving += result[b, i - 1, j + 1]


@compiled
def _attend(width: Any, alignment: Any, energy: Any, weights: Any, result: Any) -> None:
    members, m, n = alignment.shape
    for b in numba.prange(members):
        for i in range(m):
            highest = energy[b, i, 0]
            for j in range(1, n):
                highest = max(highest, energy[b, i, j])
            for j in range(n):
                weights[b, i, j] = math.exp(energy[b, i, j] - highest)
            for k in range(n):
                first = max(0, k - width + 1)
                total = weights[b, i, first]
                for j in range(first + 1, k + 1):
                    total += weights[b, i, j]
                share = alignment[b, i, k] / total
                for j in range(first, k + 1):
                    result[b, i, j] += share * weights[b, i, j]


@compiled
def _search(least: Any, sums: Any, path: Any) -> None:
    members, letters, frames = sums.shape
    for b in numba.prange(members):
        for y in range(frames):
            for x in range(max(0, letters + y - frames), min(letters, y + 1)):
                stays = least if x == y else sums[b, x, y - 1]
                if x == 0:
                    moves = 0.0 if y == 0 else least
                else:
                    moves = sums[b, x - 1, y - 1]
                sums[b, x, y] += max(stays, moves)
        x = letters - 1
        for y in range(frames - 1, -1, -1):
            path[b, x, y] = 1
            if x > 0 and (x == y or sums[b, x, y - 1] < sums[b, x - 1, y - 1]):
                x -= 1
