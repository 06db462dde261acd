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


class ShiftedQueryKey(NamedTuple):
    """Queries and keys after a shift."""

    query: Any
    key: Any


class PenaltyResult(NamedTuple):
    """A penalty on weights and its gradient with respect to them."""

    penalty: Any
    grad: Any


class EnergyResult(NamedTuple):
    """An energy of weights and its gradient with respect to them."""

    energy: Any
    grad: Any


class PrefixResult(NamedTuple):
    """Attention to every prefix and the state after the last token."""

    output: Any
    state: AttentionPartial


class ShareResult(NamedTuple):
    """An output and the share of the weight that its prefix took."""

    output: Any
    share: Any


class MutualResult(NamedTuple):
    """What two sequences read from each other."""

    first_output: Any
    second_output: Any


class MutualResultWithWeights(NamedTuple):
    """What two sequences read from each other, and the weights of both directions."""

    first_output: Any
    second_output: Any
    first_weights: Any
    second_weights: Any


class RelationalResult(NamedTuple):
    """Relational attention with its weights and the relations that it passes on."""

    output: Any
    weights: Any
    relations: Any
