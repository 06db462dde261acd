"""What stands beside the attention of captions: a penalty on its weights, and a gate on what the decoder knows."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["doubly_stochastic_penalty", "sentinel_gate"]


def doubly_stochastic_penalty(here: "Place", weights: Any, *, target: float, mask: Any) -> Any:
    """Square what the columns miss."""
    missing = target - weights.sum(axis=-2)
    square = missing * missing
    return (square if mask is None else here.xp.where(mask, square, 0)).sum(axis=-1)


def sentinel_gate(here: "Place", x: Any, hidden_previous: Any, cell: Any, *, w_input: Any, w_hidden: Any) -> Any:
    """Gate the memory cell."""
    gate = 1 / (1 + here.xp.exp(-(x @ w_input + hidden_previous @ w_hidden)))
    return gate * here.xp.tanh(cell)
