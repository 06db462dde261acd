"""The named tuples that functions with several results return."""

from collections import namedtuple
from functools import cache, partial
from typing import Any, NamedTuple


def flat(result: Any) -> tuple[Any, ...]:
    """Return every array of a result in line: of one array, a tuple, or a tuple within a tuple.

    Examples
    --------
    >>> flat((1, (2, 3)))
    (1, 2, 3)
    """
    return tuple(array for part in result for array in flat(part)) if isinstance(result, tuple) else (result,)


class AttentionResult(NamedTuple):
    """What an attention returns with ``return_weights=True``."""

    output: Any
    """(..., m, e)"""
    weights: Any
    """(..., m, n): after normalization, exactly 0 where a query does not see a key."""


def with_extras(output: Any, **extras: Any) -> Any:
    """Return an output alone, or in a named tuple with those of the extras that are not None, in order.

    Examples
    --------
    >>> with_extras(1, weights=None, reads=2)
    OutputReads(output=1, reads=2)
    >>> with_extras(1, weights=2, reads=None)
    AttentionResult(output=1, weights=2)
    """
    names = tuple(name for name, value in extras.items() if value is not None)
    return _named(names)(output, *(extras[name] for name in names)) if names else output


_make: Any = namedtuple
"""The names are known only when it is called."""


@cache
def _named(names: tuple[str, ...]) -> Any:
    if names == AttentionResult._fields[1:]:
        return AttentionResult
    fields = ("output", *names)
    kind = _make("_".join(fields).title().replace("_", ""), fields)
    # Pickle looks for a class under its name, and here is none: it makes the result anew.
    kind.__reduce__ = lambda result: (partial(with_extras, **dict(zip(names, result[1:], strict=True))), result[:1])
    return kind


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


class TensorAttentionVJP(NamedTuple):
    """Gradients of sum(output * grad_output) for tuples of keys and values."""

    grad_query: Any
    grad_keys: tuple[Any, ...]
    """One per array of keys, in its shape."""
    grad_values: tuple[Any, ...]
    """One per array of values, in its shape."""


class SimplicialAttentionVJP(NamedTuple):
    """Gradients of sum(output * grad_output), each in the shape of its argument."""

    grad_query: Any
    grad_key1: Any
    grad_key2: Any
    grad_value1: Any
    grad_value2: Any


class TriDirectionalResult(NamedTuple):
    """What three sets read from each other: one output per set."""

    out1: Any
    out2: Any
    out3: Any


class TensorTask(NamedTuple):
    """Arrays with which tensor attention solves a task."""

    query: Any
    keys: tuple[Any, ...]
    values: tuple[Any, ...]


class PairTask(NamedTuple):
    """Arrays with which softmax attention solves a task."""

    query: Any
    key: Any
    value: Any


class RetrievalSteps(NamedTuple):
    """What a retrieval returns with ``return_steps=True``."""

    output: Any
    steps: Any
    """(..., m) integers: how many steps each query took."""


class RetrievalWeightsSteps(NamedTuple):
    """What a retrieval returns with ``return_weights=True`` and ``return_steps=True``."""

    output: Any
    weights: Any
    steps: Any


class AscentEnergy(NamedTuple):
    """What iterative attention returns with ``return_energy=True``."""

    output: Any
    energy: Any
    """(..., m, steps + 1): the objective before the first step and after each."""


class AscentWeightsEnergy(NamedTuple):
    """What iterative attention returns with ``return_weights=True`` and ``return_energy=True``."""

    output: Any
    weights: Any
    energy: Any


class FieldResult(NamedTuple):
    """Bits and the field that they were taken from."""

    output: Any
    field: Any
    """(..., m, d): the sign of an entry is the bit, except that 0 keeps the old one."""


class CountersResult(NamedTuple):
    """What was read from neurons, and what the neurons hold."""

    output: Any
    counters: Any
    """(..., r, e): the sum of what was written to each neuron."""


class ShiftedQueryKey(NamedTuple):
    """Queries and keys after a shift."""

    query: Any
    key: Any


class PenaltyResult(NamedTuple):
    """A penalty on weights and its gradient with respect to them."""

    penalty: Any
    grad: Any


class MemoryState(NamedTuple):
    """A linear memory and its momentum."""

    memory: Any
    """(..., d, e): reads q as q M."""
    surprise: Any
    """(..., d, e): the running sum of past gradients."""


class MemoryResult(NamedTuple):
    """What was read from a memory while it learned, and the memory after the last token."""

    output: Any
    state: MemoryState


class NetworkState(NamedTuple):
    """The weights of a memory that is a network of two layers."""

    weight1: Any
    weight2: Any


class NetworkResult(NamedTuple):
    """What was read from a network while it learned, and its weights after the last token."""

    output: Any
    state: NetworkState


class KeptResult(NamedTuple):
    """An output and the entries that a bounded memory still holds."""

    output: Any
    kept: Any
    """(..., n) booleans."""


class IndexResult(NamedTuple):
    """The state after a step of the tensor brain and the probabilities of its index layer."""

    state: Any
    probabilities: Any


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


class DistanceResult(NamedTuple):
    """The cost of an exact transport plan, and the plan."""

    distance: Any
    plan: Any
    """(m, n)"""
