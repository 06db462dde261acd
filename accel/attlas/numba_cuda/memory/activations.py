"""Activations of feed-forward layers and their slopes, as device functions."""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..rules import Real, Rule, build_logistic
from ..target import device

IDENTITY, RELU, GELU, SILU = range(4)
ACTIVATIONS = ("identity", "relu", "gelu", "silu")
"""The activations that a kernel is told by number."""


@functools.cache
def build_gelu(real: Real) -> Callable[..., Any]:
    """Build x Φ(x), with the normal distribution function as an error function that does not cancel in its tail."""
    half, root = real(0.5), real(math.sqrt(0.5))

    @device
    def gelu(x):
        return x * (half * real(math.erfc(-x * root)))

    return gelu


@functools.cache
def build_gelu_slope(real: Real) -> Callable[..., Any]:
    """Build Φ(x) + x φ(x)."""
    half, root, density = real(0.5), real(math.sqrt(0.5)), real(1 / math.sqrt(2 * math.pi))

    @device
    def slope(x):
        return half * real(math.erfc(-x * root)) + x * (real(math.exp(-half * x * x)) * density)

    return slope


@functools.cache
def build_silu(real: Real) -> Callable[..., Any]:
    """Build x / (1 + exp(-x))."""
    logistic = build_logistic(real)

    @device
    def silu(x):
        return x * logistic(x)

    return silu


@functools.cache
def build_activated(real: Real) -> Callable[..., Any]:
    """Build the activation of a given number."""
    gelu, silu, zero = build_gelu(real), build_silu(real), real(0)

    @device
    def activated(x, activation):
        if activation == RELU:
            return zero if zero > x else x  # a NaN stays
        if activation == GELU:
            return gelu(x)
        if activation == SILU:
            return silu(x)
        return x

    return activated


def _weighed(activation: Callable[..., Any]) -> Rule:
    @device
    def score(product, bias, scale, first):
        return scale * product + bias

    @device
    def weight(score, second):
        return activation(score)

    return Rule(score, weight=weight)


@functools.cache
def gelu(real: Real) -> Rule:
    """Make the rule of gelu(scale <q, k> + bias)."""
    return _weighed(build_gelu(real))


@functools.cache
def silu(real: Real) -> Rule:
    """Make the rule of silu(scale <q, k> + bias)."""
    return _weighed(build_silu(real))
