"""One step of a conversation, as `skip_chain` needs it: states are pairs of labels.

A step leads from a state of two labels to a new label. One of the two is *kept* and becomes the first label of the new
state, the other one is *dropped*: inside a run the label of the run before is kept, at a new run the present one is.
So a state (a, b) stands at kept · c + dropped inside a run and at dropped · c + kept at a new one.

A step is a number: whether a new run begins (1), and whether an arc leads across an interruption, too (2).
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..rules import Real
from ..target import device
from .sums import better, build_log

GOES_ON, TURNS, SKIPS = range(3)


@device
def place_of(step, kept, dropped, c):
    """Where a state stands."""
    return kept * c + dropped if step == GOES_ON else dropped * c + kept


@device
def arrival(step, kept, dropped, new, c, field, stays, turns, scores):
    """The score of what happens in a step, from tables of scores in `field`."""
    if step == GOES_ON:
        return field[stays + dropped * c + new] + field[scores + new]
    turn = field[turns + kept * c + new]
    if step == SKIPS:
        turn += field[stays + dropped * c + new]
    return turn + field[scores + new]


@functools.cache
def build_sum_of_ways(real: Real) -> Callable[..., Any]:
    """Build the logarithm of what all ways into a state (kept, new) weigh."""
    log_of = build_log(real)
    zero, lowest = real(0), real(-math.inf)

    @device
    def sum_of_ways(step, kept, new, c, field, before, stays, turns, scores):
        top = lowest  # a NaN is passed over here, and found by the sum
        for dropped in range(c):
            way = arrival(step, kept, dropped, new, c, field, stays, turns, scores)
            way += field[before + place_of(step, kept, dropped, c)]
            top = way if way > top else top
        top = zero if top == lowest else top
        mass = zero
        for dropped in range(c):
            way = arrival(step, kept, dropped, new, c, field, stays, turns, scores)
            way += field[before + place_of(step, kept, dropped, c)]
            mass += real(math.exp(way - top))
        return log_of(mass) + top

    return sum_of_ways


@functools.cache
def build_best_way(real: Real) -> Callable[..., Any]:
    """Build the score of the best way into a state (kept, new), and the label that it drops, the first of equals."""
    lowest = real(-math.inf)

    @device
    def best_way(step, kept, new, c, field, before, stays, turns, scores):
        came = 0
        top = lowest
        for dropped in range(c):
            way = arrival(step, kept, dropped, new, c, field, stays, turns, scores)
            way += field[before + place_of(step, kept, dropped, c)]
            if better(way, top):
                came = dropped
                top = way
        return top, came

    return best_way


@functools.cache
def build_sum_of_continuations(real: Real) -> Callable[..., Any]:
    """Build the logarithm of what all continuations of a state (kept, dropped) weigh."""
    log_of = build_log(real)
    zero, lowest = real(0), real(-math.inf)

    @device
    def sum_of_continuations(step, kept, dropped, c, field, after, stays, turns, scores):
        top = lowest
        for new in range(c):
            way = arrival(step, kept, dropped, new, c, field, stays, turns, scores) + field[after + kept * c + new]
            top = way if way > top else top
        top = zero if top == lowest else top
        mass = zero
        for new in range(c):
            way = arrival(step, kept, dropped, new, c, field, stays, turns, scores) + field[after + kept * c + new]
            mass += real(math.exp(way - top))
        return log_of(mass) + top

    return sum_of_continuations
