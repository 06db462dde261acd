"""What a call of attention that moves may hold: past weights, kernels of odd width; and how to draw them."""

from typing import Any

import numpy as np

from ..legal import Check, host


def odd_width(name: str) -> Check:
    """Return the check that a convolution has a middle tap."""

    def check(function: str, values: dict[str, Any]) -> None:
        if values[name] is not None and values[name].shape[-1] % 2 == 0:
            raise ValueError(f"{function}: {name} has the width {values[name].shape[-1]}; it needs an odd one")

    return check


def past_weights(name: str) -> Check:
    """Return the check that weights of the step before are not negative where some step sees them."""

    def check(function: str, values: dict[str, Any]) -> None:
        if values[name] is None:
            return
        mask = values["mask"]
        seen = True if mask is None else np.atleast_2d(host(mask)).any(axis=-2)
        if bool(((host(values[name]) < 0) & seen).any()):
            raise ValueError(f"{function}: {name} holds a negative number; it needs weights of at least 0")

    return check


def some_weights(x: Any) -> Any:
    """Make weights of any numbers: at least 0, with a sum below 1."""
    return np.abs(x) / (1 + np.abs(x).sum(axis=-1, keepdims=True))
