"""Mixtures, slots and Combiner in plain PyTorch."""

import math
from typing import Any

import torch

from .parts import default_scale, seen


def torch_probabilistic_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    value_precision: Any,
    prior: Any,
    query_precision: float | None = None,
    key_update_steps: int = 0,
    key_prior_precision: float | None = None,
) -> Any:
    """Responsibilities of Gaussians for all pairs, and the M step of the keys; no query has a value of its own."""
    precision, means = default_scale(query_precision, query), key

    def responsibilities() -> Any:
        scores = query @ means.mT - (query**2).sum(-1)[..., :, None] / 2
        if isinstance(prior, str) and prior == "magnitude":
            sizes = (value**2).sum(-1) if value_precision is None else value_precision * (value**2).sum(-1)
            return torch.softmax(precision * scores + sizes[..., None, :] / 2, dim=-1)
        scores = precision * (scores - (means**2).sum(-1)[..., None, :] / 2)
        return torch.softmax(scores if isinstance(prior, str) else scores + torch.log(prior), dim=-1)

    weights = responsibilities()
    for _ in range(key_update_steps):
        total, mass = weights.mT @ query, weights.sum(-2)[..., None]
        if key_prior_precision is not None:
            total = key_prior_precision * key + precision * total
            mass = key_prior_precision + precision * mass
        means = total / mass
        weights = responsibilities()
    return weights @ value


def torch_competitive_attention(query: Any, key: Any, value: Any, *, scale: float | None = None) -> Any:
    """Softmax over the queries, then the mean of the values."""
    weights = torch.softmax((query * default_scale(scale, query)) @ key.mT, dim=-2) + 1e-8
    return (weights / weights.sum(-1, keepdim=True)) @ value


def torch_slot_attention(inputs: Any, slots: Any, *, steps: int = 3, **weights: Any) -> Any:
    """The loop of the paper with the layers of PyTorch."""
    layer_norm, linear = torch.nn.functional.layer_norm, torch.nn.functional.linear

    def norm(x: Any, name: str) -> Any:
        return layer_norm(x, x.shape[-1:], weights[f"norm_{name}_gain"], weights[f"norm_{name}_bias"])

    def mapped(x: Any, name: str) -> Any:
        return linear(x, weights[f"w_{name}"].mT, weights[f"b_{name}"])

    gates = (weights[f"gru_w_{part}"].mT for part in ("input", "hidden"))
    biases = (weights[f"gru_b_{part}"] for part in ("input", "hidden"))
    recurrent = (*gates, *biases)
    x = norm(inputs, "input")
    key, value = mapped(x, "key"), mapped(x, "value")
    for _ in range(steps):
        update = torch_competitive_attention(mapped(norm(slots, "slots"), "query"), key, value)
        slots = torch.gru_cell(update.flatten(0, -2), slots.flatten(0, -2), *recurrent).reshape(slots.shape)
        hidden = torch.relu(linear(norm(slots, "mlp"), weights["mlp_w1"].mT, weights["mlp_b1"]))
        slots = slots + linear(hidden, weights["mlp_w2"].mT, weights["mlp_b2"])
    return slots


def torch_combiner_fixed_attention(
    query: Any, key: Any, value: Any, *, block: int, scale: float | None = None, causal: bool = True
) -> Any:
    """Scores within blocks and with the maxima of earlier blocks, side by side."""
    if not causal:
        raise ValueError("causal is False; this peer needs True")
    scale = default_scale(scale, query)
    q, k, v = (_blocks(x, block) for x in (query, key, value))
    group_query, group_key = q.amax(-2), k.amax(-2)
    group_value = (torch.softmax((k @ group_query[..., None])[..., 0] * scale, -1)[..., None, :] @ v)[..., 0, :]
    own = (q @ k.mT * scale).masked_fill(~seen(q, k), -math.inf)
    earlier = torch.ones(q.shape[-3], q.shape[-3], dtype=torch.bool).tril(-1)[:, None]
    groups = (q @ group_key[..., None, :, :].mT * scale).masked_fill(~earlier, -math.inf)
    weights = torch.softmax(torch.cat([own, groups], -1), -1)
    output = weights[..., :block] @ v + weights[..., block:] @ group_value[..., None, :, :]
    return output.reshape(value.shape)


def torch_combiner_axial_attention(
    query: Any, key: Any, value: Any, summary_key: Any = None, *, block: int, scale: float | None = None
) -> Any:
    """Scores along rows, and along columns with what each token has read in its row."""
    scale = default_scale(scale, query)
    q, k, v = (_blocks(x, block) for x in (query, key, value))
    scores = q @ k.mT * scale
    readings = torch.softmax(scores, -1)
    read, summary = readings @ v, readings @ k if summary_key is None else _blocks(summary_key, block)
    own = scores.masked_fill(~seen(q, k), -math.inf)
    above = torch.ones(q.shape[-3], q.shape[-3], dtype=torch.bool).tril(-1)
    columns = (q.transpose(-3, -2) @ summary.transpose(-3, -2).mT * scale).masked_fill(~above, -math.inf)
    weights = torch.softmax(torch.cat([own, columns.transpose(-3, -2)], -1), -1)
    down = weights[..., block:].transpose(-3, -2) @ read.transpose(-3, -2)
    return (weights[..., :block] @ v + down.transpose(-3, -2)).reshape(value.shape)


def torch_combiner_logsparse_attention(query: Any, key: Any, value: Any, *, scale: float | None = None) -> Any:
    """A group for every bit of a token's number, in a length that is filled up to a power of two."""
    scale, length = default_scale(scale, query), query.shape[-2]
    n = 1 << max(length - 1, 0).bit_length()
    if n > length:  # no token sees later ones
        query, key, value = (torch.nn.functional.pad(x, (0, 0, 0, n - length)) for x in (query, key, value))
    scores, means = [(query * key).sum(-1) * scale], []
    for level in range(n.bit_length() - 1):
        size = 1 << level
        q, k, v = (_blocks(x, size)[..., 0::2, :, :] for x in (query, key, value))
        shares = torch.softmax((k @ q.amax(-2)[..., None])[..., 0] * scale, -1)
        means.append((shares[..., None, :] @ v)[..., 0, :])
        met = torch.full((*query.shape[:-2], n // size, size), -math.inf)
        met[..., 1::2, :] = (_blocks(query, size)[..., 1::2, :, :] @ k.amax(-2)[..., None])[..., 0] * scale
        scores.append(met.flatten(-2))
    weights = torch.softmax(torch.stack(scores, -1), -1)
    output = weights[..., :1] * value
    for level, mean in enumerate(means):
        size = 1 << level
        share = weights[..., level + 1].unflatten(-1, (n // size, size))[..., 1::2, :]
        _blocks(output, size)[..., 1::2, :, :] += share[..., None] * mean[..., None, :]
    return output[..., :length, :]


def _blocks(x: Any, size: int) -> Any:
    return x.unflatten(-2, (x.shape[-2] // size, size))
