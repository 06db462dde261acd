"""Edits of finished weights: a few elementwise passes over what the caller holds already."""

from typing import TYPE_CHECKING, Any

from attlas_ref.contract import EnergyResult, PenaltyResult, ShiftedQueryKey

if TYPE_CHECKING:
    from ...engines import Place

__all__ = [
    "amplify_heads",
    "attention_perturbation",
    "calibrate_attention_sinks",
    "contrastive_attention_map",
    "deceptive_attention_penalty",
    "redistribute_visual_attention",
    "region_attention_energy",
    "shift_along_direction",
    "split_softmax",
    "transfer_attention",
]


def calibrate_attention_sinks(
    here: "Place", weights: Any, *, threshold: float, beta: float, heads: Any, keep_first: bool
) -> Any:
    """Damp the sink columns and give what is freed to the rest of the row."""
    xp, n = here.xp, weights.shape[-1]
    sink = weights.sum(axis=-2) / xp.arange(n, 0, -1, dtype=weights.dtype) > threshold  # (..., h, n)
    if keep_first:
        sink = sink & (xp.cumsum(sink, axis=-1) > 1)
    sink = sink[..., None, :] & (xp.arange(n) > 0)[:, None]
    rest = xp.where(sink, 0, weights)
    total = rest.sum(axis=-1)[..., None]
    freed = (1 - beta) * xp.where(sink, weights, 0).sum(axis=-1)[..., None]
    calibrated = xp.where(sink, beta * weights, weights) + freed * rest / xp.where(total == 0, 1, total)
    calibrated = xp.where(total == 0, weights, calibrated)
    corner = (xp.arange(n) == 0)[:, None] & (xp.arange(n) == 0)
    calibrated = xp.where(corner, 1, calibrated)
    if heads is None:
        return calibrated
    chosen = xp.isin(xp.arange(weights.shape[-3]), xp.asarray(heads))
    return xp.where(chosen[:, None, None], calibrated, weights)


def redistribute_visual_attention(
    here: "Place",
    weights: Any,
    *,
    sinks: Any,
    image_start: int,
    image_length: int,
    keep: float,
    rho: float,
    threshold: float,
    first_query: int | None,
) -> Any:
    """Move weight from the sinks to the rest of the image, in the rows that look at it."""
    xp = here.xp
    m, n = weights.shape[-2:]
    position = xp.arange(n)
    image = (position >= image_start) & (position < image_start + image_length)
    sink = xp.isin(position, xp.asarray(sinks))
    on_image = xp.where(image, weights, 0).sum(axis=-1)[..., None]
    on_image_sinks = xp.where(image & sink, weights, 0).sum(axis=-1)[..., None]
    padded = xp.where(image, weights + 1e-6, 0).sum(axis=-1)[..., None]
    late = xp.arange(m)[:, None] >= (image_start + image_length if first_query is None else first_query)
    treated = late & (image & sink).any() & (on_image_sinks <= rho * padded) & (on_image >= threshold)
    rest = xp.where(image & ~sink, weights, 0)
    total = rest.sum(axis=-1)[..., None]
    budget = (1 - keep) * xp.where(sink, weights, 0).sum(axis=-1)[..., None]
    moved = xp.where(sink, keep * weights, weights) + budget * rest / xp.where(total == 0, 1, total)
    return xp.where(treated & (total != 0), moved, weights)


def split_softmax(here: "Place", weights: Any, *, subset: Any, exponent: float) -> Any:
    """Scale the subset and the rest, each by its factor."""
    xp = here.xp
    mass = xp.where(subset, weights, 0).sum(axis=-1)[..., None]
    split = (mass > 0) & (mass < 1)
    inside = xp.where(split, mass, 1) ** (exponent - 1)
    outside = (1 - mass**exponent) / xp.where(split, 1 - mass, 1)
    return xp.where(split, weights * xp.where(subset, inside, outside), weights)


def shift_along_direction(
    here: "Place", query: Any, key: Any, *, query_direction: Any, key_direction: Any, strength: float
) -> ShiftedQueryKey:
    """Add a multiple of a direction to each."""
    return ShiftedQueryKey(
        query + strength * query_direction.astype(query.dtype), key + strength * key_direction.astype(key.dtype)
    )


def amplify_heads(here: "Place", weights: Any, *, tokens: Any, gains: Any, renormalize: bool) -> Any:
    """Multiply chosen columns by a factor per head."""
    xp = here.xp
    amplified = weights * xp.where(tokens, 1 + gains[..., :, None], 1)[..., :, None, :]
    if not renormalize:
        return amplified
    total = amplified.sum(axis=-1)[..., None]
    return amplified / xp.where(total == 0, 1, total)


def contrastive_attention_map(here: "Place", task: Any, general: Any, *, regularizer: float) -> Any:
    """Divide."""
    return task / (general + regularizer)


def transfer_attention(
    here: "Place",
    weights: Any,
    *,
    rows: slice,
    targets: slice,
    threshold: float,
    strength: float,
    kept_weight: float,
    dropped_weight: float,
) -> Any:
    """Drop weak weights and give what they held to the targets."""
    xp, n = here.xp, weights.shape[-1]
    position = xp.arange(n)
    start, stop, _ = rows.indices(n)
    row = (position >= start) & (position < stop)
    target = xp.isin(position, position[targets])
    looks = (xp.where(target, weights, 0) > threshold).any(axis=-1)[..., None]
    kept = xp.where((weights < threshold) & (position < stop), 0, weights)
    removed = 1 - kept.sum(axis=-1)[..., None]
    share = xp.where(target, xp.where(kept >= threshold, kept_weight, dropped_weight), 0).astype(weights.dtype)
    moved = kept + strength * removed * share / share.sum(axis=-1)[..., None]
    return xp.where(row[:, None] & looks, moved, weights)


def deceptive_attention_penalty(
    here: "Place", weights: Any, *, impermissible: Any, strength: float, reduction: str, return_grad: bool
) -> Any:
    """Sum the rows' penalties by their shares in the reduction."""
    xp = here.xp
    mass = xp.where(impermissible, weights, 0).sum(axis=-1)  # (..., m)
    mass = xp.where(mass > 1, 1, mass)
    penalties = xp.zeros_like(mass) if strength == 0 else -strength * xp.log1p(-mass)
    share = xp.full_like(mass, 1 / max(mass.size, 1))
    if reduction == "max" and mass.ndim > 1 and mass.shape[-2]:
        per_head = penalties.sum(axis=-1)[..., None]  # (..., h, 1): as many rows in each
        worst = xp.arange(mass.shape[-2])[:, None] == xp.argmax(per_head, axis=-2)[..., None, :]
        share = xp.where(worst, share * mass.shape[-2], 0)
    penalty = xp.where(share == 0, 0, share * penalties).sum()
    if not return_grad:
        return penalty
    return PenaltyResult(penalty, xp.where(impermissible, (strength * share / (1 - mass))[..., None], 0))


def region_attention_energy(here: "Place", weights: Any, *, region: Any, return_grad: bool) -> Any:
    """Square the share outside."""
    xp = here.xp
    region = region.astype(weights.dtype)
    total = weights.sum(axis=-1)[..., None]
    divisor = xp.where(total == 0, 1, total)
    share = (region * weights).sum(axis=-1)[..., None] / divisor
    energy = ((1 - share) ** 2)[..., 0]
    if not return_grad:
        return energy
    return EnergyResult(energy, xp.where(total == 0, 0, -2 * (1 - share) * (region - share) / divisor))


def attention_perturbation(here: "Place", grad_scores: Any, *, size: float, sign: float, mask: Any, eps: float) -> Any:
    """Scale each row to the length `size`."""
    xp = here.xp
    gradient = grad_scores if mask is None else xp.where(mask, grad_scores, 0)
    norm = xp.sqrt((gradient * gradient).sum(axis=-1)[..., None])
    return sign * size * gradient / xp.where(norm < eps, eps, norm)
