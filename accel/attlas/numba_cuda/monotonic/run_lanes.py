"""The kernels of attention to runs of keys, for compilation where there is no GPU."""

from collections.abc import Iterator
from typing import Any

from ..probabilistic.teams import CROWD, WARP
from ..rules import Real
from .runs import build_runs


def kernels(real: Real) -> Iterator[tuple[str, Any, bool]]:
    """Enumerate names, kernels and whether their threads share memory."""
    for name, team in (("short", WARP), ("long", CROWD)):
        for bent in (False, True):
            yield f"{name}_runs{'_bent' * bent}", build_runs(team, real, bent), True
