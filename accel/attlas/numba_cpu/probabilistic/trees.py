"""What the kernels of dependency trees share: the tokens that take part, and what strange scores do."""

from functools import cache
from typing import Any

import numpy as np

from ...layout import broadcast
from ..compile import part
from ..operands import Array, Laid, lay
from ..real import Real

NO_MASK = np.ones((1, 1), dtype=bool)


def lay_trees(arc_scores: Array, root_scores: Array, mask: Array | None) -> tuple[tuple[int, ...], int, list[Laid]]:
    """Lay a call out: its leading axes, the number of tokens, and arcs, roots and mask."""
    leading = () if mask is None else mask.shape[:-1]
    batch = broadcast(arc_scores.shape[:-2], root_scores.shape[:-1], leading)
    visible = NO_MASK if mask is None else mask[..., None, :]  # one that stands for all tokens has no step
    n = root_scores.shape[-1]
    return batch, n, [lay(arc_scores, batch), lay(root_scores[..., None, :], batch), lay(visible, batch)]


@cache
def trees_of(real: Real) -> tuple[Any, Any]:
    """Make gather(tokens, mask, member, n) and take(weights, arcs, roots, member, tokens, count).

    `gather` lists the tokens that take part and returns how many there are. `take` copies their scores into `weights`,
    (count + 1, count) with the root in the last row and -inf on the diagonal, and returns NaN or +inf if there is one
    among them, which no sum over trees survives, else 0.
    """
    zero, infinity = real.number(0), real.number(np.inf)
    of = str(real.dtype)

    def gather(tokens, mask, member, n):
        count = 0
        for i in range(n):
            if mask.memory[mask.places[member] + i * mask.column]:
                tokens[count] = i
                count += 1
        return count

    def take(weights, arcs, roots, member, tokens, count):
        strange = zero
        for h in range(count):
            row = arcs.places[member] + tokens[h] * arcs.row
            for d in range(count):
                x = -infinity if h == d else arcs.memory[row + tokens[d] * arcs.column]
                weights[h * count + d] = x
                strange += zero if x < infinity else x
        for d in range(count):
            x = roots.memory[roots.places[member] + tokens[d] * roots.column]
            weights[count * count + d] = x
            strange += zero if x < infinity else x
        return strange

    return part(gather, of), part(take, of)
