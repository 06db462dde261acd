"""Every kernel of the family, for compilation where there is no GPU."""

from collections.abc import Iterator
from typing import Any

from ..assemble import build_assemble
from ..blocks import Block
from ..pairs import WEIGHTS, build_pairs
from ..rules import Real, softmax
from ..tile import build_forward
from .captions import bent_sum, build_join, opened, opened_where_seen
from .choices import build_best, build_draw
from .chosen import build_one_hot, build_read
from .sampled import gumbel


def kernels(block: Block, real: Real) -> Iterator[tuple[str, Any, bool]]:
    """Enumerate names, kernels and whether their threads share memory."""
    yield "forward_gumbel", build_forward(block, real, gumbel), True
    yield "weights_gumbel", build_pairs(block, real, gumbel, WEIGHTS), True
    for rule in (softmax, gumbel):
        yield f"best_{rule.__name__}", build_best(block, real, rule), True
    yield "draw", build_draw(block, real), True
    yield "read_chosen", build_read(real), False
    yield "one_hot", build_one_hot(real), False
    for entry in (opened, opened_where_seen, bent_sum):
        yield f"assemble_{entry.__name__}", build_assemble(real, entry), False
    yield "join_sentinel", build_join(real), False
