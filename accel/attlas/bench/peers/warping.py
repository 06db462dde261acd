"""Soft dynamic time warping by the package tslearn."""

from typing import Any

import numpy as np
import torch
from tslearn.metrics import SoftDTW


def tslearn_soft_dtw(cost: Any, *, gamma: float = 1.0, return_alignment: bool = False) -> Any:
    """One matrix of costs after the other, in double precision, which is all that the package has."""
    values, alignments = [], []
    for member in cost.numpy().reshape(-1, *cost.shape[-2:]):
        warping = SoftDTW(member.astype(np.float64), gamma)
        values.append(warping.compute())
        if return_alignment:
            alignments.append(warping.grad())
    value = torch.tensor(values, dtype=cost.dtype).reshape(cost.shape[:-2])
    if not return_alignment:
        return value
    return value, torch.from_numpy(np.stack(alignments)).to(cost.dtype).reshape(cost.shape)
