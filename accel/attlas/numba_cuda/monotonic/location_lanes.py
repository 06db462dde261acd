"""Every kernel of the family, for compilation where there is no GPU."""

from collections.abc import Iterator
from typing import Any

from ..assemble import build_assemble
from ..rules import Real
from .bell_steps import build_bell_steps
from .mixture import build_components, build_mixture, rectified_sum
from .scored_steps import build_scored_steps
from .steps import TEAM


def kernels(real: Real) -> Iterator[tuple[str, Any, bool]]:
    """Enumerate names, kernels and whether their threads share memory."""
    yield "scored_steps", build_scored_steps(TEAM, real), True
    yield "bell_steps", build_bell_steps(TEAM, real), True
    yield "mixture_components", build_components(real), False
    yield "moving_mixture", build_mixture(TEAM, real), True
    yield "assemble_rectified_sum", build_assemble(real, rectified_sum), False
