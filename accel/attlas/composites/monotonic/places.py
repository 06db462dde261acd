"""Places in a sequence: relative distances as a score, encodings read from both ends, symbols along alignments."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..shapes import side_by_side

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["align_with_purpose_loss", "bidirectional_encoding", "relative_position_cross_attention"]

BASE = 10_000
"""The longest wave has about 2 π times as many keys."""


def relative_position_cross_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    w_position: Any,
    content_bias: Any,
    position_bias: Any,
    query_offset: int,
    mask: Any,
    return_weights: bool,
) -> Any:
    """Stand waves beside the keys, and what turns them to the query's place beside the queries: one dot product.

    With g = W (q + v), the score of the distance t = j - p is Σ_k g_2k sin(ω_k t) + g_2k+1 cos(ω_k t), and by the sine
    and cosine of a difference that is a dot product of (sin ω_k j, cos ω_k j) with numbers of the query alone. So no
    table of distances is made, nor looked up for every pair: the queries and keys are D columns wider.
    """
    xp, dtype, (m, d), width = here.xp, query.dtype, query.shape[-2:], w_position.shape[-2]
    frequency = BASE ** (-np.arange(0, width, 2) / max(width, 1))
    sines, cosines = _waves(xp, np.arange(m) + query_offset, frequency, dtype)
    asked = (query + position_bias[..., None, :]) @ w_position.swapaxes(-1, -2)  # g, (..., m, D)
    of_sine, of_cosine = asked[..., 0::2], asked[..., 1::2]
    turned = xp.concat([of_sine * cosines + of_cosine * sines, of_cosine * cosines - of_sine * sines], axis=-1)
    waves = xp.concat(_waves(xp, np.arange(key.shape[-2]), frequency, dtype), axis=-1)  # (n, D)
    return here.softmax_attention(
        side_by_side(xp, query + content_bias[..., None, :], turned),
        side_by_side(xp, key, waves),
        value,
        temperature=1.0,
        scale=1 / math.sqrt(d),
        mask=mask,
        bias=None,
        causal=False,
        return_weights=return_weights,
    )


def _waves(xp: Any, places: Any, frequency: Any, dtype: Any) -> tuple[Any, Any]:
    """Return sines and cosines of places, (places, frequencies) each; the angles are computed in double precision."""
    angle = places[:, None] * frequency
    return tuple(xp.asarray(wave).astype(dtype) for wave in (np.sin(angle), np.cos(angle)))


def bidirectional_encoding(here: "Place", encoded: Any, gate: Any, *, lengths: Any) -> Any:
    """Mix an encoding with its reversal: a slice where it is whole, else rows by their numbers."""
    xp, n = here.xp, encoded.shape[-2]
    share = gate[..., None, None]
    if lengths is None:
        return share * encoded + (1 - share) * encoded[..., ::-1, :]
    source = xp.asarray(lengths)[..., None] - 1 - xp.arange(n)  # (..., n): where each position reads in reverse order
    leading = np.broadcast_shapes(encoded.shape[:-2], source.shape[:-1])
    whole, source = xp.broadcast_to(encoded, (*leading, *encoded.shape[-2:])), xp.broadcast_to(source, (*leading, n))
    turned = xp.take_along_axis(whole, xp.maximum(source, 0)[..., None], axis=-2)
    return share * encoded + (1 - share) * xp.where(source[..., None] >= 0, turned, 0)


def align_with_purpose_loss(
    here: "Place", log_probs: Any, alignments: Any, improved: Any, *, margin: float, space: str
) -> Any:
    """Compare the probabilities of alignments with those of their improved forms."""
    xp = here.xp
    before, after = (_log_probability(xp, log_probs, labels) for labels in (alignments, improved))  # (..., A)
    if space == "probability":
        before, after = xp.exp(before), xp.exp(after)
    # Equal ones differ by 0, also where both are impossible: -inf less -inf would be NaN.
    difference = xp.where(before == after, 0, before - after)
    hinge = xp.maximum(difference + margin, 0)
    return hinge.sum(axis=-1) / max(hinge.shape[-1], 1)


def _log_probability(xp: Any, log_probs: Any, alignments: Any) -> Any:
    """Return the sum of the log probabilities along each alignment, (..., A)."""
    leading = np.broadcast_shapes(log_probs.shape[:-2], alignments.shape[:-2])
    log_probs = xp.broadcast_to(log_probs, (*leading, *log_probs.shape[-2:]))
    along = alignments.astype("int64").swapaxes(-1, -2)  # (..., T, A)
    along = xp.broadcast_to(along, (*leading, *along.shape[-2:]))
    return xp.take_along_axis(log_probs, along, axis=-1).sum(axis=-2)
