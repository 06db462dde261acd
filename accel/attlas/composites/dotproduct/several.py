"""Attention over several sets of keys: a learned prefix, two sequences that read each other."""

from typing import TYPE_CHECKING, Any

from attlas_ref.contract import MutualResult, MutualResultWithWeights, ShareResult

from ..shapes import side_by_side, spread, turned

if TYPE_CHECKING:
    from ...engines import Place

__all__ = [
    "dual_attention",
    "mutual_attention",
    "prefix_tuning_attention",
]


def prefix_tuning_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    prefix_key: Any,
    prefix_value: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_share: bool,
) -> Any:
    """Merge the partial attentions of prefix and content."""
    value = spread(here.xp, value, prefix_key.shape[:-2], prefix_value.shape[:-2])
    prefix = here.attention_partial(
        query,
        prefix_key,
        prefix_value,
        scale=scale,
        mask=None,
        bias=None,
        causal=False,
        query_offset=0,
        key_offset=0,
    )
    content = here.attention_partial(
        query,
        key,
        value,
        scale=scale,
        mask=mask,
        bias=bias,
        causal=causal,
        query_offset=key.shape[-2] - query.shape[-2],
        key_offset=0,
    )
    output = here.finish_attention_partial(here.merge_attention_partials(prefix, content))
    if not return_share:
        return output
    # The share is the attention to values that are 1 in the prefix and 0 in the content.
    ones = prefix._replace(accumulator=prefix.total[..., None])
    zeros = content._replace(accumulator=here.xp.zeros_like(content.total)[..., None])
    return ShareResult(output, here.finish_attention_partial(here.merge_attention_partials(ones, zeros))[..., 0])


def mutual_attention(
    here: "Place",
    first: Any,
    second: Any,
    first_value: Any,
    second_value: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Attend in both directions; mask and bias are transposed for the second."""
    common: dict[str, Any] = {
        "temperature": 1.0,
        "scale": scale,
        "causal": False,
        "return_weights": return_weights,
    }
    second_value = spread(here.xp, second_value, first_value.shape[:-2])
    first_value = spread(here.xp, first_value, second_value.shape[:-2])
    there = here.softmax_attention(first, second, second_value, mask=mask, bias=bias, **common)
    back = here.softmax_attention(second, first, first_value, mask=turned(mask), bias=turned(bias), **common)
    if not return_weights:
        return MutualResult(there, back)
    return MutualResultWithWeights(there.output, back.output, there.weights, back.weights)


def dual_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    relational_query: Any,
    relational_key: Any,
    relation_query: Any,
    relation_key: Any,
    symbols: Any,
    *,
    scale: float | None,
    mask: Any,
    causal: bool,
    **relations: Any,
) -> Any:
    """Compute sensory and relational heads, and stand all of them side by side."""
    xp = here.xp
    options = {"scale": scale, "mask": mask, "bias": None, "causal": causal, "return_weights": False}
    if mask is not None:
        query, relational_query = (spread(xp, array, mask.shape[:-2]) for array in (query, relational_query))
    sensory = here.softmax_attention(query, key, value, temperature=1.0, **options)
    relational = here.relational_attention(
        relational_query, relational_key, relation_query, relation_key, symbols, symbols_relative=False, **relations,
        **options,
    )  # fmt: skip
    return side_by_side(xp, *(_heads_last(xp, heads) for heads in (sensory, relational)))


def _heads_last(xp: Any, heads: Any) -> Any:
    """(..., h, m, e) as (..., m, h e)."""
    moved = xp.moveaxis(heads, -3, -2)
    return moved.reshape(*moved.shape[:-2], moved.shape[-2] * moved.shape[-1])
