"""Entropic transport by the package POT, on its NumPy back end."""

from typing import Any

import numpy as np
import ot
import torch


def pot_sinkhorn_plan(cost: Any, *, epsilon: float = 1.0, steps: int = 100) -> Any:
    """Scaling of the kernel: products of a matrix and a vector, which overflow where epsilon is small."""
    return _plans(cost, epsilon, steps, "sinkhorn")


def logs_sinkhorn_plan(cost: Any, *, epsilon: float = 1.0, steps: int = 100) -> Any:
    """The same with logarithms of the kernel, for any epsilon."""
    return _plans(cost, epsilon, steps, "sinkhorn_log")


def _plans(cost: Any, epsilon: float, steps: int, method: str) -> Any:
    """One plan after the other."""
    rows, columns = (np.full(count, 1 / count, dtype=cost.numpy().dtype) for count in cost.shape[-2:])
    options = {"method": method, "numItermax": steps, "stopThr": 0, "warn": False}
    members = cost.numpy().reshape(-1, *cost.shape[-2:])
    plans = [ot.sinkhorn(rows, columns, member, epsilon, **options) for member in members]
    return torch.from_numpy(np.stack(plans).reshape(cost.shape))
