"""One step of a conversation, as `skip_chain` needs it: states are pairs of labels.

A step leads from a state of two labels to a new label. One of the two is *kept* and becomes the first label of the new
state, the other one is *dropped*: inside a run the label of the run before is kept, at a new run the present one is.
So a state (a, b) stands at kept · c + dropped inside a run and at dropped · c + kept at a new one.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..compile import part
from ..real import Real
from .sums import sums_of


class Step(NamedTuple):
    """What a step depends on."""

    stays: Any
    """(c, c): scores of a label and the speaker's next one."""
    turns: Any
    """(c, c): of a label and that of the next speaker."""
    unary: Any
    """(c,): scores of the new label."""
    begins: Any
    """Whether a new run begins."""
    skips: Any
    """Whether an arc leads across an interruption."""


class Steps(NamedTuple):
    """The parts of one precision."""

    place: Any
    """place(step, kept, dropped, c)"""
    arrival: Any
    """arrival(step, kept, dropped, new, c): the score of what happens in a step."""
    add: Any
    """add(after, before, step, c): logarithms of what beginnings weigh, one step further."""
    best: Any
    """best(after, before, step, c): the best of these beginnings."""
    back: Any
    """back(before, after, step, row, c): the same for continuations, one step back."""


@cache
def steps_of(real: Real) -> Steps:
    """Make the steps of one precision."""
    zero, infinity, exp = real.number(0), real.number(np.inf), real.exp
    of, sums = str(real.dtype), sums_of(real)
    better = sums.better

    def place(step, kept, dropped, c):
        return dropped * c + kept if step.begins else kept * c + dropped

    place = part(place, of, inline=True)

    def arrival(step, kept, dropped, new, c):
        if not step.begins:
            return step.stays[dropped * c + new] + step.unary[new]
        skip = step.stays[dropped * c + new] if step.skips else zero
        return (step.turns[kept * c + new] + skip) + step.unary[new]

    arrival = part(arrival, of, inline=True)

    def add(after, before, step, c):
        for kept in range(c):
            for new in range(c):
                top = -infinity
                for dropped in range(c):
                    x = before[place(step, kept, dropped, c)] + arrival(step, kept, dropped, new, c)
                    top = x if x > top else top
                top = zero if top == -infinity else top
                mass = zero
                for dropped in range(c):
                    x = before[place(step, kept, dropped, c)] + arrival(step, kept, dropped, new, c)
                    mass += exp(x - top)
                after[kept * c + new] = math.log(mass) + top

    def best(after, before, step, c):
        for kept in range(c):
            for new in range(c):
                top = -infinity
                for dropped in range(c):
                    x = before[place(step, kept, dropped, c)] + arrival(step, kept, dropped, new, c)
                    top = x if better(x, top) else top
                after[kept * c + new] = top

    def back(before, after, step, row, c):
        for kept in range(c):
            for dropped in range(c):
                for new in range(c):
                    row[new] = arrival(step, kept, dropped, new, c) + after[kept * c + new]
                before[place(step, kept, dropped, c)] = sums.log_normalize(row, c)
        sums.log_normalize(before, c * c)

    return Steps(place, arrival, part(add, of), part(best, of), part(back, of))
