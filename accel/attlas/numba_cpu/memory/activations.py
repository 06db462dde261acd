"""Activations between two products, for kernels: functions of one number, built into a loop."""

from functools import cache
from typing import Any

from ..compile import part
from ..normal import normal_of
from ..real import Real


@cache
def activations_of(real: Real) -> dict[str, Any]:
    """Return the activations of one precision by name; a NaN stays a NaN in each."""
    zero, both, sigmoid = real.number(0), normal_of(real), real.sigmoid

    def gelu(x):
        return x * both(x)[0]

    def relu(x):
        return zero if x <= zero else x

    def silu(x):
        return x * sigmoid(x)

    def identity(x):
        return x

    functions = {"gelu": gelu, "relu": relu, "silu": silu, "identity": identity}
    return {name: part(function, of=str(real.dtype), inline=True) for name, function in functions.items()}


@cache
def slopes_of(real: Real) -> dict[str, Any]:
    """Return the derivatives of those that networks learn with."""
    one, both = real.number(1), normal_of(real)

    def gelu_slope(x):
        below, density = both(x)
        return below + x * density

    def no_slope(x):
        return one

    functions = {"gelu": gelu_slope, "identity": no_slope}
    return {name: part(function, of=str(real.dtype), inline=True) for name, function in functions.items()}
