"""Maps from scores to weights that are made of others."""

import math
from typing import TYPE_CHECKING, Any

from attlas_ref.contract import AttentionPartial, AttentionResult

from ..pointwise import unit_length
from ..shapes import joined, spread

if TYPE_CHECKING:
    from ...engines import Place

__all__ = [
    "cosine_attention",
    "differential_attention",
    "interpolated_attention",
    "pladis_attention",
    "sink_attention",
    "softmax_plus_n_attention",
]


def cosine_attention(here: "Place", query: Any, key: Any, value: Any, *, eps: float, **options: Any) -> Any:
    """Divide queries and keys by their lengths first."""
    unit = [unit_length(here.xp, x, eps) for x in (query, key)]
    return here.softmax_attention(*unit, value, temperature=1.0, **options)


def differential_attention(
    here: "Place",
    query: Any,
    key: Any,
    query_negative: Any,
    key_negative: Any,
    value: Any,
    *,
    strength: Any,
    norm_eps: float | None,
    norm_scale: float,
    return_weights: bool,
    **options: Any,
) -> Any:
    """Take one attention away from another."""
    strength = strength.astype(value.dtype)
    value = spread(here.xp, value, *(x.shape[:-2] for x in (query, key, query_negative, key_negative)))
    pairs = ((query, key), (query_negative, key_negative))
    first, second = (
        here.softmax_attention(*pair, value, temperature=1.0, return_weights=return_weights, **options)
        for pair in pairs
    )
    if not return_weights:
        return _normed(here.xp, first - strength * second, norm_eps, norm_scale)
    output = _normed(here.xp, first.output - strength * second.output, norm_eps, norm_scale)
    return AttentionResult(output, first.weights - strength * second.weights)


def interpolated_attention(
    here: "Place",
    query: Any,
    key_start: Any,
    value_start: Any,
    key_end: Any,
    value_end: Any,
    *,
    t: float,
    mode: str,
    key: Any,
    value: Any,
    scale: float | None,
) -> Any:
    """Mix the outputs, or the keys and values."""

    def attend(keys: Any, values: Any) -> Any:
        if key is not None:
            keys, values = joined(here.xp, key, keys), joined(here.xp, value, values)
        return here.softmax_attention(
            query,
            keys,
            values,
            temperature=1.0,
            scale=scale,
            mask=None,
            bias=None,
            causal=False,
            return_weights=False,
        )

    if mode == "inner":
        return attend((1 - t) * key_start + t * key_end, (1 - t) * value_start + t * value_end)
    return (1 - t) * attend(key_start, value_start) + t * attend(key_end, value_end)


def _normed(xp: Any, output: Any, eps: float | None, scale: float) -> Any:
    if eps is None:
        return output
    mean_square = (output * output).sum(axis=-1)[..., None] / max(output.shape[-1], 1) + eps
    return scale * output / xp.sqrt(xp.where(mean_square == 0, 1, mean_square))


def softmax_plus_n_attention(
    here: "Place", query: Any, key: Any, value: Any, *, extra: float, return_weights: bool, **options: Any
) -> Any:
    """Merge with a partial attention to `extra` keys of score 0 and value 0."""
    xp = here.xp
    rest = AttentionPartial(
        xp.full((1,), 0.0 if extra > 0 else -math.inf, dtype=value.dtype),
        xp.full((1,), extra, dtype=value.dtype),
        xp.zeros((1, 1), dtype=value.dtype),
    )
    return _beside(here, query, key, value, rest, return_weights, **options)


def sink_attention(
    here: "Place", query: Any, key: Any, value: Any, *, sink: Any, sink_value: Any, return_weights: bool, **options: Any
) -> Any:
    """Merge with the partial attention to the sinks."""
    xp = here.xp
    maximum = sink.max(axis=-1) if sink.shape[-1] else xp.full(sink.shape[:-1], -math.inf, dtype=sink.dtype)
    shift = xp.where(maximum == -math.inf, 0, maximum)[..., None]
    unnormalized = xp.exp(sink - shift)  # (..., h, r)
    if sink_value is None:
        said = xp.zeros((*maximum.shape, 1, 1), dtype=value.dtype)
    else:
        said = unnormalized[..., None, :] @ sink_value  # (..., h, 1, e)
    query = spread(xp, query, sink.shape[:-1])
    rest = AttentionPartial(maximum[..., None], unnormalized.sum(axis=-1)[..., None], said)
    return _beside(here, query, key, value, rest, return_weights, **options)


def _beside(
    here: "Place", query: Any, key: Any, value: Any, rest: Any, return_weights: bool, *, causal: bool, **options: Any
) -> Any:
    """Attend to the keys and, for every query alike, to something that is given as a partial attention."""
    offset = key.shape[-2] - query.shape[-2]
    keys = here.attention_partial(query, key, value, causal=causal, query_offset=offset, key_offset=0, **options)
    whole = here.merge_attention_partials(keys, rest)
    output = here.finish_attention_partial(whole)
    if not return_weights:
        return output
    ones = keys._replace(accumulator=keys.total[..., None])
    nothing = rest._replace(accumulator=here.xp.zeros_like(rest.total)[..., None])
    share = here.finish_attention_partial(here.merge_attention_partials(ones, nothing))  # (..., m, 1)
    among_keys = here.softmax_attention(
        query, key, value, temperature=1.0, causal=causal, return_weights=True, **options
    ).weights
    # Hidden pairs have the weight 0 also where a visible NaN has reached the share.
    return AttentionResult(output, here.xp.where(among_keys == 0, 0, among_keys * share))


def pladis_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    alpha: float,
    strength: float,
    return_weights: bool,
    **options: Any,
) -> Any:
    """Go from the dense result through the sparse one, and beyond."""
    options["return_weights"] = return_weights
    dense = here.softmax_attention(query, key, value, temperature=1.0, **options)
    sparse = here.entmax_attention(query, key, value, alpha=alpha, **options)
    if not return_weights:
        return dense + strength * (sparse - dense)
    return AttentionResult(*(one + strength * (other - one) for one, other in zip(dense, sparse, strict=True)))
