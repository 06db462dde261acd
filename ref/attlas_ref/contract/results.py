"""The named tuples that functions with several results return."""

from typing import Any, NamedTuple


class AttentionResult(NamedTuple):
    """What an attention returns with ``return_weights=True``."""

    output: Any
    """(..., m, e)"""
    weights: Any
    """(..., m, n): after normalization, exactly 0 where a query does not see a key."""


class AttentionPartial(NamedTuple):
    """Softmax attention over some of the keys, in a form that can be merged with the rest."""

    maximum: Any
    """(..., m): the largest visible score, -inf where nothing is visible."""
    total: Any
    """(..., m): the sum of exp(score - maximum)."""
    accumulator: Any
    """(..., m, e): the sum of exp(score - maximum) * value."""


class AttentionVJP(NamedTuple):
    """Gradients of sum(output * grad_output), each in the shape of its argument."""

    grad_query: Any
    grad_key: Any
    grad_value: Any


class AttentionVJPWithBias(NamedTuple):
    """Gradients of sum(output * grad_output), with that of the bias."""

    grad_query: Any
    grad_key: Any
    grad_value: Any
    grad_bias: Any
