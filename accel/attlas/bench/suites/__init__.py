"""Suites: the cases of a family that are worth timing, and what is asked of an engine in each.

`attlas bench --suite dense` measures one on the CPU.
"""

from . import alignment, dense, kronecker, memory, probabilistic
from .case import Case, Goal, Group

SUITES: dict[str, tuple[Group, ...]] = {
    "dense": dense.GROUPS,
    "memory": memory.GROUPS,
    "kronecker": kronecker.GROUPS,
    "probabilistic": probabilistic.GROUPS,
    "alignment": alignment.GROUPS,
}

__all__ = ["SUITES", "Case", "Goal", "Group"]
