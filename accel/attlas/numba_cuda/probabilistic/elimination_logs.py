"""Elimination of tokens from a matrix of arcs in logarithms, which holds for all scores, by a team of threads.

As in `elimination`, in place; tokens are taken in the order of their D, so that the last one can be the root. The way
back carries the logarithms of derivatives, and turns them into probabilities of paths one token at a time.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..pieces import larger
from ..rows import plus, smaller
from ..rules import Real
from ..target import device, device_using_cuda
from .sums import added, build_log
from .teams import Team, build_agree, build_wait


@functools.cache
def build_mass_into(real: Real) -> Callable[..., Any]:
    """Build the logarithm of what arcs into k weigh, from the first `left` of the order and perhaps the root."""
    log_of = build_log(real)
    zero, lowest = real(0), real(-math.inf)

    @device
    def mass_into(field, weights, pointers, order, left, k, with_root, n):
        root = field[weights + n * n + k] if with_root else lowest
        top = root
        for i in range(left):
            top = max(top, field[weights + pointers[order + i] * n + k])  # k itself has no arc into k
        if top == lowest:
            return top
        mass = real(math.exp(root - top)) if with_root else zero
        for i in range(left):
            mass += real(math.exp(field[weights + pointers[order + i] * n + k] - top))
        return log_of(mass) + top

    return mass_into


@functools.cache
def build_choose(team: Team, real: Real) -> Callable[..., Any]:
    """Build choose(...), which moves the token with the largest D to the end of those left; it returns log D."""
    highest, first = build_agree(team, real, larger), build_agree(team, real, smaller)
    wait, mass_into = build_wait(team), build_mass_into(real)
    threads = team.count
    lowest, nowhere = real(-math.inf), real(math.inf)

    @device_using_cuda
    def choose(board, t, field, weights, pointers, order, left, with_root, n):
        chosen = 0
        best = lowest
        for i in range(t, left, threads):
            mass = mass_into(field, weights, pointers, order, left, pointers[order + i], with_root, n)
            if mass > best:
                chosen = i
                best = mass
        top = highest(board, best)
        place = int(first(board, real(chosen) if best == top else nowhere))
        if t == 0:
            token = pointers[order + place]
            pointers[order + place] = pointers[order + left - 1]
            pointers[order + left - 1] = token
        wait()
        return top

    return choose


@functools.cache
def build_add_paths(team: Team, real: Real) -> Callable[..., Any]:
    """Build add_paths(...), which adds the paths over k to the arcs of the tokens that are left and of the root."""
    across, down = team.across, team.down
    lowest = real(-math.inf)

    @device_using_cuda
    def add_paths(x, y, field, weights, pointers, order, left, k, mass, n):
        for i in range(y, left, down):
            h = n if i == left - 1 else pointers[order + i]
            first = field[weights + h * n + k] - mass
            if first != lowest:
                for j in range(x, left - 1, across):
                    d = pointers[order + j]
                    old = field[weights + h * n + d]
                    path = first + field[weights + k * n + d]
                    if d != h and path != lowest:
                        high = max(old, path)
                        low = min(old, path)
                        field[weights + h * n + d] = high + real(math.log1p(math.exp(low - high)))

    return add_paths


@functools.cache
def build_logs_back(team: Team, real: Real) -> Callable[..., Any]:
    """Build the way back, which leaves the logarithms of derivatives in `grads`.

    Of `parts`, the first n + 1 numbers for each thread across are sums by head, then n for each group by dependent.
    """
    agree, wait = build_agree(team, real, plus), build_wait(team)
    across, down, threads = team.across, team.down, team.count
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device
    def slope(used, weight):
        """The logarithm of a derivative by a weight, from the probability of its arc."""
        return real(math.log(used)) - weight if used > zero and weight != lowest else lowest

    @device_using_cuda
    def back(board, x, y, n, multi, field, weights, grads, spare, parts, pointers, order):
        t = y * across + x
        by_dependent = parts + across * (n + 1)
        for left in range(1, n + 1):
            k = pointers[order + left - 1]
            mass = field[spare + k]
            for j in range(x, left - 1, across):
                field[by_dependent + y * n + j] = zero
            for i in range(y, left, down):
                h = n if i == left - 1 else pointers[order + i]
                first = field[weights + h * n + k] - mass
                part = zero
                if first != lowest:
                    for j in range(x, left - 1, across):
                        d = pointers[order + j]
                        if d != h:
                            path = (first + field[weights + k * n + d]) + field[grads + h * n + d]
                            flow = real(math.exp(min(path, zero)))
                            field[by_dependent + y * n + j] += flow
                            part += flow
                field[parts + x * (n + 1) + i] = part
            wait()
            total = zero
            for i in range(t, left, threads):
                passed = zero
                for side in range(across):
                    passed += field[parts + side * (n + 1) + i]
                h = n if i == left - 1 else pointers[order + i]
                field[grads + h * n + k] = passed
                total += passed
            total = agree(board, total)
            for i in range(t, left, threads):
                h = n if i == left - 1 else pointers[order + i]
                weight = field[weights + h * n + k]
                chosen = real(math.exp(weight - mass)) if h < n or multi or left == 1 else zero
                field[grads + h * n + k] = slope(field[grads + h * n + k] + (one - total) * chosen, weight)
            for j in range(t, left - 1, threads):
                d = pointers[order + j]
                into = zero
                for group in range(down):
                    into += field[by_dependent + group * n + j]
                field[grads + k * n + d] = slope(into, field[weights + k * n + d])
            wait()

    return back


@functools.cache
def build_logs(team: Team, real: Real) -> Callable[..., Any]:
    """Build logs(...), which returns log Z in two parts and leaves the probabilities of arcs in place of the scores.

    `original` and `grads` hold as many numbers as the weights, `spare` n, `order` n whole ones.
    """
    wait, choose = build_wait(team), build_choose(team, real)
    add_paths, back = build_add_paths(team, real), build_logs_back(team, real)
    across, threads = team.across, team.count
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def logs(board, x, y, n, multi, field, weights, original, grads, spare, parts, pointers, order):
        t = y * across + x
        for place in range(t, (n + 1) * n, threads):
            field[original + place] = field[weights + place]
            field[grads + place] = lowest
        for i in range(t, n, threads):
            pointers[order + i] = i
        wait()
        total = zero
        lost = zero
        possible = True
        for left in range(n, 0, -1):
            if possible:
                mass = choose(board, t, field, weights, pointers, order, left, multi or left == 1, n)
                total, lost = added(total, lost, mass)
                possible = mass != lowest
            if possible:
                k = pointers[order + left - 1]
                if t == 0:
                    field[spare + k] = mass
                add_paths(x, y, field, weights, pointers, order, left, k, mass, n)
                wait()
        if possible:
            back(board, x, y, n, multi, field, weights, grads, spare, parts, pointers, order)
        for place in range(t, (n + 1) * n, threads):
            score = field[original + place]
            known = possible and score != lowest
            field[weights + place] = real(math.exp(min(score + field[grads + place], zero))) if known else zero
        wait()
        return total, lost

    return logs
