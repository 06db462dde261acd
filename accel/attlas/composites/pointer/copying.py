"""Gates and likelihoods of pointer-generators, and what looking twice costs."""

from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import GatedResult

from ..variational.parts import shares

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["copy_gate", "copy_log_prob", "coverage_loss", "pointer_sentinel_mixture"]


def copy_gate(
    here: "Place", context: Any, state: Any, embedded: Any, *, w_context: Any, w_state: Any, w_embedded: Any, b: float
) -> Any:
    """Take the logistic function of a linear form."""
    return 1 / (1 + here.xp.exp(-(context @ w_context + state @ w_state + embedded @ w_embedded + b)))


def copy_log_prob(here: "Place", vocab_prob: Any, weights: Any, gate: Any, source_ids: Any, target: Any) -> Any:
    """Read one word of the vocabulary per step, and add up the sources that are it."""
    xp, known = here.xp, vocab_prob.shape[-1]
    target = target.astype(xp.int64)
    leading = np.broadcast_shapes(vocab_prob.shape[:-2], target.shape[:-1])
    rows = [xp.broadcast_to(x, (*leading, *x.shape[-2:])) for x in (vocab_prob, target[..., None])]
    word = xp.minimum(rows[1], xp.asarray(known - 1))
    generated = xp.where(rows[1] < known, xp.take_along_axis(rows[0], word, axis=-1), 0)[..., 0]  # (..., m)
    here_too = source_ids.astype(xp.int64)[..., None, :] == target[..., None]  # (..., m, n)
    copied = xp.where(here_too, weights, 0).sum(axis=-1)
    return xp.logaddexp(xp.log(gate) + xp.log(generated), xp.log1p(-gate) + xp.log(copied))


def pointer_sentinel_mixture(
    here: "Place",
    query: Any,
    key: Any,
    sentinel: Any,
    vocab_prob: Any,
    source_ids: Any,
    *,
    w_query: Any,
    b_query: Any,
    mask: Any,
    size: int | None,
    return_gate: bool,
) -> Any:
    """Attend to keys and sentinel at once, and add what falls on each word.

    A mixture of equal parts, of twice the vocabulary and twice the weights, is their sum to the last bit.
    """
    xp, (m, n) = here.xp, (query.shape[-2], key.shape[-2])
    projected = xp.tanh(query @ w_query + b_query)  # (..., m, d_k)
    scores = projected @ key.swapaxes(-1, -2)  # (..., m, n)
    of_sentinel = (projected * sentinel[..., None, :]).sum(axis=-1)[..., None]  # (..., m, 1)
    pairs = xp.ones((m, n), dtype=xp.bool) if mask is None else mask[(None,) * (2 - mask.ndim)]
    seen = pairs & xp.ones((m, n), dtype=xp.bool)
    leading = np.broadcast_shapes(scores.shape[:-2], of_sentinel.shape[:-2], seen.shape[:-2])
    items = [xp.broadcast_to(part, (*leading, *part.shape[-2:])) for part in (scores, of_sentinel)]
    open_ = [xp.broadcast_to(part, (*leading, m, part.shape[-1])) for part in (seen, xp.ones((1, 1), dtype=xp.bool))]
    both = shares(xp, xp.concat(items, axis=-1), xp.concat(open_, axis=-1))  # (..., m, n + 1)
    weights, gate = both[..., :-1], both[..., -1]
    # What nobody sees has no weight, whatever word it is.
    words = xp.where(seen.any(axis=-2), source_ids, 0)
    halves = xp.ones_like(gate) / 2
    output = here.copy_mixture(2 * gate[..., None] * vocab_prob, 2 * weights, halves, words, size=size)
    if not return_gate:
        return output
    return GatedResult(output, xp.broadcast_to(gate, output.shape[:-1]).copy())


def coverage_loss(here: "Place", weights: Any, *, initial: Any) -> Any:
    """Add up the smaller of each weight and of those before it."""
    xp = here.xp
    none = xp.zeros_like(weights[..., :1, :])
    so_far = xp.concat([none, xp.cumulative_sum(weights, axis=-2)[..., :-1, :]], axis=-2)  # of the steps before
    before = xp.asarray(initial, dtype=weights.dtype)
    before = before[..., None, :] if before.ndim else before
    return xp.minimum(weights, before + so_far).sum(axis=(-2, -1))
