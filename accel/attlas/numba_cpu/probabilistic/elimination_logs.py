"""Elimination of tokens from a matrix of arcs in logarithms, which holds for all scores.

As in `elimination`, in place; tokens are taken in the order of their D, so that the last one can be the root. The way
back carries the logarithms of derivatives, and turns them into probabilities of paths one token at a time.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from ..compile import part
from ..pointers import moved
from ..real import Real
from .sums import sums_of


@cache
def elimination_in_logs_of(real: Real) -> Any:
    """Make logs(weights, original, grads, spare, order, n, multi).

    It returns log Z and leaves the probabilities of arcs in place of the weights. `spare` holds 2 n numbers, `order`
    n whole ones.
    """
    zero, one, infinity, exp = real.number(0), real.number(1), real.number(np.inf), real.exp
    of, sums = str(real.dtype), sums_of(real)

    def mass_into(weights, order, left, k, with_root, n):
        """The logarithm of what arcs into k weigh, from the first `left` of the order and perhaps the root."""
        top = weights[n * n + k] if with_root else -infinity
        for i in range(left):
            top = max(top, weights[order[i] * n + k])  # k itself has no arc into k
        if top == -infinity:
            return top
        mass = exp(weights[n * n + k] - top) if with_root else zero
        for i in range(left):
            mass += exp(weights[order[i] * n + k] - top)
        return math.log(mass) + top

    mass_into = part(mass_into, of)

    def choose(weights, order, left, with_root, n):
        """Move the token with the largest D to the end of those that are left; return the logarithm of its D."""
        chosen, best = 0, -infinity
        for i in range(left):
            mass = mass_into(weights, order, left, order[i], with_root, n)
            if mass > best:
                chosen, best = i, mass
        order[chosen], order[left - 1] = order[left - 1], order[chosen]
        return best

    choose = part(choose, of)

    def add_paths(weights, order, left, h, k, mass, n):
        """Add the paths of one head over k to its arcs."""
        first = weights[h * n + k] - mass
        if first == -infinity:
            return
        for i in range(left):
            d = order[i]
            old, path = weights[h * n + d], first + weights[k * n + d]
            if d != h and path != -infinity:
                high, low = max(old, path), min(old, path)
                weights[h * n + d] = high + math.log1p(exp(low - high))

    add_paths = part(add_paths, of)

    def flow_of(weights, grads, order, left, h, k, mass, into, n):
        """Hand what flows from one head over k to the arcs from k, and return it all."""
        first, total = weights[h * n + k] - mass, zero
        if first == -infinity:
            return total
        for i in range(left):
            d = order[i]
            if d != h:
                flow = exp(min((first + weights[k * n + d]) + grads[h * n + d], zero))
                into[d] += flow
                total += flow
        return total

    flow_of = part(flow_of, of)

    def slope(used, weight):
        """The logarithm of a derivative by a weight, from the probability of its arc."""
        return math.log(used) - weight if (used > zero) & (weight != -infinity) else -infinity

    slope = part(slope, of)

    def logs(weights, original, grads, spare, order, n, multi):
        for i in range((n + 1) * n):
            original[i], grads[i] = weights[i], -infinity
        for i in range(n):
            order[i] = i
        total, lost = zero, zero
        for left in range(n, 0, -1):
            mass = choose(weights, order, left, multi or left == 1, n)
            k = order[left - 1]
            spare[k] = mass
            total, lost = sums.add(total, lost, mass)
            if mass == -infinity:
                break
            for i in range(left):
                add_paths(weights, order, left - 1, n if i == left - 1 else order[i], k, mass, n)
        possible = total > -infinity
        into = n  # a row of numbers behind the D
        for left in range(1, n + 1 if possible else 1):
            k = order[left - 1]
            mass, flow = spare[k], zero
            for d in range(n):
                spare[into + d] = zero
            for i in range(left):
                h = n if i == left - 1 else order[i]
                passed = flow_of(weights, grads, order, left - 1, h, k, mass, moved(spare, into), n)
                grads[h * n + k] = passed
                flow += passed
            for i in range(left):
                h = n if i == left - 1 else order[i]
                weight = weights[h * n + k]
                chosen = exp(weight - mass) if h < n or multi or left == 1 else zero
                grads[h * n + k] = slope(grads[h * n + k] + (one - flow) * chosen, weight)
            for i in range(left - 1):
                d = order[i]
                grads[k * n + d] = slope(spare[into + d], weights[k * n + d])
        for i in range((n + 1) * n):
            known = possible and original[i] != -infinity
            weights[i] = exp(min(original[i] + grads[i], zero)) if known else zero
        return sums.whole(total, lost)

    return part(logs, of)
