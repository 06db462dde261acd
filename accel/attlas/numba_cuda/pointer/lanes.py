"""Every kernel of the family, for compilation where there is no GPU."""

from collections.abc import Iterator
from typing import Any

from ..blocks import Block
from ..pairs import WEIGHTS, build_pairs
from ..probabilistic.teams import CROWD
from ..rules import Real
from .copying import build_copy, build_generate
from .coverage import build_coverage
from .distribution import build_normalize, of_dots, of_units
from .pursuit import build_pursuit
from .walks import build_choose, build_clear, build_gather, build_leaves, build_look, build_parents, build_weigh


def kernels(block: Block, real: Real) -> Iterator[tuple[str, Any, bool]]:
    """Enumerate names, kernels and whether their threads share memory."""
    for rule in (of_units, of_dots):
        yield f"pointer_{rule.__name__}", build_pairs(block, real, rule, WEIGHTS), True
    yield "pointer_rows", build_normalize(CROWD, real), True
    yield "coverage_steps", build_coverage(CROWD, real), True
    yield "pursuit", build_pursuit(CROWD, real), True
    for build in (build_generate, build_copy):
        yield f"copy_{build.__name__.removeprefix('build_')}", build(real), False
    for build in (build_leaves, build_parents, build_look, build_choose, build_weigh, build_gather, build_clear):
        yield f"tree_{build.__name__.removeprefix('build_')}", build(real), False
