"""Attention behind a pointer, or behind one per head: energies, an alignment, what is read from where it stops."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attlas_ref.contract import AttentionResult, with_extras

from .reading import mass_preservation as preserved
from .reading import read_by, read_stops

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["mocha_attention", "monotonic_attention", "monotonic_multihead_attention"]

NO_PARAMETERS: dict[str, Any] = {"w_query": None, "w_key": None, "b": None, "v": None, "g": 1.0}


def monotonic_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    hard: bool,
    mass_preservation: bool,
    previous: Any,
    mask: Any,
    return_weights: bool,
    **energy: Any,
) -> Any:
    """Read where the pointer stops."""

    def attend(query: Any, key: Any, value: Any, noise: Any, previous: Any, mask: Any) -> AttentionResult:
        weights = _alignment(here, query, key, hard, previous, mask, {**energy, "noise": noise})
        if mass_preservation:
            weights = preserved(here, weights, mask=mask)
        output = read_stops(here.xp, weights, value) if hard else read_by(here, weights, value, mask)
        return AttentionResult(output, weights)

    axes = (query, 2), (key, 2), (value, 2), (energy["noise"], 2), (previous, 1), (mask, 2)
    return _whole_or_in_turn(here, attend, axes, return_weights)


def mocha_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    chunk_size: int,
    energy: Any,
    scale: float | None,
    hard: bool,
    previous: Any,
    mask: Any,
    return_weights: bool,
    **pointer: Any,
) -> Any:
    """Read softly from the chunk that ends where the pointer stops."""

    def attend(query: Any, key: Any, value: Any, noise: Any, previous: Any, mask: Any, energy: Any) -> AttentionResult:
        alignment = _alignment(here, query, key, hard, previous, mask, {**pointer, "scale": scale, "noise": noise})
        energy = _dots(here, query, key, scale) if energy is None else energy
        weights = here.mocha_weights(alignment, energy, chunk_size=chunk_size, mask=mask)
        return AttentionResult(read_by(here, weights, value, mask), weights)

    axes = (query, 2), (key, 2), (value, 2), (pointer["noise"], 2), (previous, 1), (mask, 2), (energy, 2)
    return _whole_or_in_turn(here, attend, axes, return_weights)


def monotonic_multihead_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    soft_query: Any,
    soft_key: Any,
    kind: str,
    chunk_size: int | None,
    energy_bias: float,
    noise: Any,
    scale: float | None,
    mask: Any,
    mass_preservation: bool,
    streaming: bool,
    return_weights: bool,
    return_alignment: bool,
    return_probability: bool,
    return_reads: bool,
) -> Any:
    """Read from where the pointer of each head stops, or from what it has passed."""
    xp, n = here.xp, key.shape[-2]
    p = _dots(here, query, key, scale, r=energy_bias, noise=noise, mask=mask, return_probability=True)
    alignment, reads = None, None
    if streaming or return_reads:
        run = here.monotonic_hard_alignment(
            p, threshold=0.5, previous=None, mask=mask, stay_on_last=True, return_index=True
        )
        alignment = run.alignment
    if return_reads:
        # A pointer that found nothing has read all n keys; no pointer, none.
        index = run.index
        reads = xp.minimum(index.max(axis=-2) + 1, n) if index.shape[-2] else index.sum(axis=-2)
    if not streaming:
        alignment = here.monotonic_alignment(p, previous=None, mask=mask, method="recursive", eps=0.0)
        if mass_preservation:
            alignment = preserved(here, alignment, mask=mask)

    weights = alignment
    if kind == "infinite_lookback":
        weights = here.infinite_lookback_weights(alignment, _dots(here, soft_query, soft_key, scale), mask=mask)
    elif kind == "chunkwise":
        soft_energy = _dots(here, soft_query, soft_key, scale)
        weights = here.mocha_weights(alignment, soft_energy, chunk_size=chunk_size, mask=mask)
    copies = streaming and kind == "hard"
    output = read_stops(xp, weights, value) if copies else read_by(here, weights, value, mask)
    return with_extras(
        output,
        weights=weights if return_weights else None,
        alignment=alignment if return_alignment else None,
        probability=p if return_probability else None,
        reads=reads,
    )


def _whole_or_in_turn(
    here: "Place", attend: Callable[..., AttentionResult], arrays: tuple[tuple[Any, int], ...], return_weights: bool
) -> Any:
    """Return the output, and the weights if they are asked for; if not, an engine may take members in turn."""
    if return_weights:
        return attend(*(array for array, _ in arrays))
    (query, _), (key, _) = arrays[:2]
    # Those of the first leading axis; what broadcasts has as many at most.
    pairs = max(math.prod(x.shape[1:-2]) for x in (query, key)) * query.shape[-2] * key.shape[-2]
    return here.part("members", "in_turn", _together)(lambda *some: attend(*some).output, pairs, *arrays)


def _together(compute: Callable[..., Any], pairs: int, *arrays: tuple[Any, int]) -> Any:
    """Compute all members at once."""
    return compute(*(array for array, _ in arrays))


def _alignment(
    here: "Place", query: Any, key: Any, hard: bool, previous: Any, mask: Any, energy: dict[str, Any]
) -> Any:
    """Return where the pointer stops, or is expected to."""
    p = here.monotonic_energy(query, key, **energy, mask=mask, return_probability=True)
    if hard:
        options = {"threshold": 0.5, "stay_on_last": False, "return_index": False}
        return here.monotonic_hard_alignment(p, previous=previous, mask=mask, **options)
    return here.monotonic_alignment(p, previous=previous, mask=mask, method="recursive", eps=0.0)


def _dots(
    here: "Place",
    query: Any,
    key: Any,
    scale: float | None,
    r: float = 0.0,
    noise: Any = None,
    mask: Any = None,
    return_probability: bool = False,
) -> Any:
    """Return scaled dot products, or their logistic functions."""
    options = {"r": r, "noise": noise, "noise_scale": 1.0, "mask": mask, "return_probability": return_probability}
    return here.monotonic_energy(query, key, score="scaled_dot", scale=scale, **NO_PARAMETERS, **options)
