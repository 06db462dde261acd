"""What runs along a conversation without a table, and is left to one thread: steps, scores of tags, the best labels."""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..pieces import entry
from ..rules import Real
from ..target import device
from .conversation import GOES_ON, SKIPS, TURNS, build_best_way
from .sums import better

_, _, SPEAKERS, TAGS, OPENING, CLOSING, STAYS, OTHERS = range(8)
"""The rows of the table of operands, after the scores and the mask of a chain."""


@device
def find_steps(pointers, steps, speakers, layout, batch, length):
    """Write for each utterance whether a run begins with it, and whether an arc skips to it."""
    interrupted = -1  # the last utterance of the run before
    for s in range(1, length):
        step = GOES_ON
        speaker = entry(speakers, layout, SPEAKERS, batch, 0, s)
        if speaker != entry(speakers, layout, SPEAKERS, batch, 0, s - 1):
            step = TURNS
            if interrupted >= 0 and speaker == entry(speakers, layout, SPEAKERS, batch, 0, interrupted):
                step = SKIPS
            interrupted = s - 1
        pointers[steps + s] = step


@functools.cache
def build_follow_back(real: Real) -> Callable[..., Any]:
    """Build the function that writes the labels that led to the best end; of equals the lowest."""
    best_way = build_best_way(real)
    lowest = real(-math.inf)

    @device
    def follow_back(length, c, field, states, stays, turns, unary, pointers, steps, path, path_at):
        a = 0
        b = 0
        top = lowest
        last = states + (length - 1) * c * c
        for label in range(c):
            for earlier in range(c):
                if better(field[last + earlier * c + label], top):
                    a = earlier
                    b = label
                    top = field[last + earlier * c + label]
        for s in range(length - 1, 0, -1):
            path[path_at + s] = b
            step = pointers[steps + s]
            before = states + (s - 1) * c * c
            _, came = best_way(step, a, b, c, field, before, stays, turns, unary + s * c)
            if step == GOES_ON:
                b = came
            else:
                b = a
                a = came
        path[path_at] = b

    return follow_back


@functools.cache
def build_score_of(real: Real) -> Callable[..., Any]:
    """Build the score of a labeling."""
    zero = real(0)

    @device
    def score_of(tags, layout, batch, length, c, field, stays, turns, unary, pointers, steps):
        score = zero
        before = 0
        previous = 0
        for s in range(length):
            tag = int(entry(tags, layout, TAGS, batch, 0, s))
            gain = field[unary + s * c + tag]
            if s > 0:
                step = pointers[steps + s]
                gain += field[(stays if step == GOES_ON else turns) + previous * c + tag]
                if step == SKIPS:
                    gain += field[stays + before * c + tag]
                if step != GOES_ON:
                    before = previous
            score += gain
            previous = tag
        return score

    return score_of
