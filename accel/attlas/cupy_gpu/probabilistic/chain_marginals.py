"""Marginals of chains.

Going forward, the probabilities of a label given the next one are left in the result for pairs; going back, these are
multiplied by what is known of the next label. So the way back takes no exponential.
Bound by the host, which begins some thirty small steps for each position, as long as chains and labels are few; else by
memory traffic: n c² numbers, each read and written some ten times. Memory beside the results: n c.
Differs from the reference by rounding: it multiplies conditional probabilities where the reference adds logarithms, and
divides at every position by their sum, so that roundings do not add up along the chain.
"""

from typing import Any

from attlas_ref.contract import ChainMarginals

from .chain import Chain, forward
from .logs import nonzero, shares

__all__ = ["linear_chain_marginals"]


def linear_chain_marginals(unary: Any, pairwise: Any, *, mask: Any) -> ChainMarginals:
    """Return log Z and how likely each label and each pair of neighboring labels is."""
    chain = Chain(unary, pairwise, mask)
    xp, n, c = chain.xp, chain.n, chain.c
    pairs = chain.empty(max(n - 1, 0), c, c)
    labels, log_partition = forward(chain, pairs)
    if n == 0:
        return ChainMarginals(log_partition, labels, pairs)
    now = shares(xp, labels[..., -1, :], -1)  # the weights of beginnings give way to marginals
    for t in range(n - 1, -1, -1):
        labels[..., t, :] = chain.where(t, now, 0)
        if t:
            both = pairs[..., t - 1, :, :] * now[..., None, :]
            pairs[..., t - 1, :, :] = chain.where(t, both, 0, axes=2)
            before = both.sum(axis=-1)
            now = chain.where(t, before / nonzero(xp, before.sum(axis=-1, keepdims=True)), now)
    return ChainMarginals(log_partition, labels, pairs)
