"""Named results of inference: plans, bounds, choices, marginals."""

from typing import Any, NamedTuple


class PlanResult(NamedTuple):
    """A transport plan and its cost."""

    plan: Any
    distance: Any
    """(...): the sum of cost times plan."""


class TransportResult(NamedTuple):
    """What it costs two sets to attend to each other."""

    total: Any
    forward: Any
    backward: Any


class TransportPlansResult(NamedTuple):
    """What it costs two sets to attend to each other, and how they do it."""

    total: Any
    forward: Any
    backward: Any
    forward_plan: Any
    """(..., m, n): each row is the attention of a row to the columns."""
    backward_plan: Any
    """(..., m, n): each column is the attention of a column to the rows."""


class SpectrumResult(NamedTuple):
    """The spectrum of a set of features and the number of slots that it suggests."""

    eigenvalues: Any
    rounded: Any
    count: Any
    batch_count: Any


class SpectrumPropertiesResult(NamedTuple):
    """The same with a vector for each of the leading directions."""

    eigenvalues: Any
    rounded: Any
    count: Any
    batch_count: Any
    properties: Any
    """(..., batch_count, d)"""


class DictionaryResult(NamedTuple):
    """Slots that were drawn from a dictionary, and the entries that they came from."""

    code: Any
    slots: Any


class LatentBounds(NamedTuple):
    """The log likelihood of a latent alignment and the rungs below it."""

    log_marginal: Any
    prior_bound: Any
    reconstruction: Any
    """(...): the expected log likelihood under q."""
    kl: Any
    """(...): the divergence of q from the prior."""
    elbo: Any
    posterior: Any
    """(..., n)"""


class SampledBound(NamedTuple):
    """A bound from samples and the weight of each."""

    bound: Any
    weights: Any
    """(..., K): rows sum to 1."""


class SoftAlignment(NamedTuple):
    """A decoder with soft attention, beside what it would say under every hard alignment."""

    log_prob: Any
    weights: Any
    context: Any
    hidden: Any
    log_prob_per_alignment: Any
    """(..., m, n, V): -inf where the alignment is hidden."""


class ChoiceResult(NamedTuple):
    """What was read from one key per query, and which one."""

    output: Any
    index: Any
    """(..., m) integers: -1 where there is no choice."""


class ChoiceWeightsResult(NamedTuple):
    """What was read from one key per query, as weights and as numbers."""

    output: Any
    weights: Any
    index: Any


class GatedResult(NamedTuple):
    """A gated context and its gate."""

    output: Any
    gate: Any


class GatedWeightsResult(NamedTuple):
    """A gated context, the weights of the regions and the gate."""

    output: Any
    weights: Any
    gate: Any


class SentinelResult(NamedTuple):
    """A context with a sentinel and the weight that the sentinel took."""

    output: Any
    sentinel: Any


class SentinelWeightsResult(NamedTuple):
    """A context with a sentinel, the weights of the regions among themselves and that of the sentinel."""

    output: Any
    weights: Any
    sentinel: Any


class ChainMarginals(NamedTuple):
    """What the sequences of a chain weigh together, and how often each label and each pair of neighbors occurs."""

    log_partition: Any
    """(...)"""
    marginals: Any
    """(..., n, c): the probability of each label at each position."""
    pairwise_marginals: Any
    """(..., n-1, c, c): the probability of each pair of labels at each pair of neighbors."""


class SegmentMarginals(NamedTuple):
    """What the segmentations of a sequence weigh together, and the probability of each segment."""

    log_partition: Any
    """(...)"""
    marginals: Any
    """(..., n, k, c, c): by start, length, label and the label before."""


class TreeMarginals(NamedTuple):
    """What the trees over a sentence weigh together, and the probability of each arc."""

    log_partition: Any
    """(...)"""
    marginals: Any
    """(..., n, n): of each arc from a head (row) to a dependent (column)."""
    root_marginals: Any
    """(..., n): of each token to be a root."""


class ConversationResult(NamedTuple):
    """What a chain with skips says of a conversation."""

    log_likelihood: Any
    """(...): of the given tags; None without tags."""
    decode: Any
    """(..., t) integers: the best labels, -1 past the length."""
    log_partition: Any
    """(...)"""
    marginals: Any
    """(..., t, c): the probability of each label."""
