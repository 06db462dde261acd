"""Attention that moves on from where it looked last, as loops over the steps in PyTorch.

What does not depend on the last step is computed before the loop, and the values are read behind it.
"""

import math
from typing import Any

import torch
from torch.nn.functional import conv1d, pad, softplus

from attlas_ref.monotonic.beta_binomial_prior import beta_binomial_prior

LEAST_WIDTH, GUARD = 0.27, 1e-20
"""Of a bell, in keys, and beside each of its weights."""


def torch_location_sensitive_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    w_query: Any,
    w_key: Any,
    conv: Any,
    w_location: Any,
    v: Any,
    initial: Any = "uniform",
    scale: float = 1.0,
) -> Any:
    """A convolution, a layer and a softmax for each step."""
    projected_query, projected_key = query @ w_query, key @ w_key
    previous = _started(initial, key.shape[:-1], query)
    rows = []
    for i in range(query.shape[-2]):
        features = _convolved(previous[..., None, :], conv)
        hidden = projected_query[..., i, None, :] + projected_key + features @ w_location
        previous = torch.softmax(scale * (torch.tanh(hidden) @ v), dim=-1)
        rows.append(previous)
    return torch.stack(rows, dim=-2) @ value


def torch_dynamic_convolution_attention(
    query: Any,
    value: Any,
    *,
    w_query: Any,
    b_query: Any,
    w_dynamic: Any,
    conv: Any,
    w_static: Any,
    w_feature: Any,
    b_feature: Any,
    v: Any,
    prior_length: int = 11,
    prior_alpha: float = 0.1,
    prior_beta: float = 0.9,
    prior_floor: float = 1e-6,
    initial: Any = "first",
) -> Any:
    """Three convolutions, a layer and a softmax for each step."""
    steps, channels, n = query.shape[-2], w_feature.shape[0], value.shape[-2]
    kernels = torch.tanh(query @ w_query + b_query) @ w_dynamic
    kernels = kernels.reshape(-1, steps, channels, kernels.shape[-1] // channels)
    members, taps = len(kernels), kernels.shape[-1]
    prior = torch.from_numpy(beta_binomial_prior(prior_length, alpha=prior_alpha, beta=prior_beta)).to(query.dtype)
    prior = prior.flip(0)[None, None]
    previous, rows = _started(initial, value.shape[:-1], query).reshape(members, n), []
    for i in range(steps):
        static = _convolved(previous[:, None], conv)  # (members, n, c_s)
        kernel = kernels[:, i].reshape(-1, 1, taps)
        dynamic = conv1d(previous[None], kernel, padding=taps // 2, groups=members).view(members, channels, n).mT
        moved = conv1d(pad(previous[:, None], (prior_length - 1, 0)), prior)[:, 0]
        scores = torch.tanh(static @ w_static + dynamic @ w_feature + b_feature) @ v
        previous = torch.softmax(scores + torch.log(moved.clamp_min(prior_floor)), dim=-1)
        rows.append(previous)
    return torch.stack(rows, dim=-2).reshape(*query.shape[:-1], n) @ value


def torch_gmm_attention(query: Any, value: Any, *, w_hidden: Any, b_hidden: Any, w_params: Any, b_params: Any) -> Any:
    """Version 2, all steps at once: they do not depend on the weights."""
    parameters = torch.tanh(query @ w_hidden + b_hidden) @ w_params + b_params
    share, step, width = parameters.chunk(3, dim=-1)  # (..., m, k)
    share, width, means = torch.softmax(share, dim=-1), softplus(width), torch.cumsum(softplus(step), dim=-2)
    offset = torch.arange(value.shape[-2], dtype=query.dtype)[:, None] - means[..., None, :]  # (..., m, n, k)
    bells = torch.exp(offset**2 * (-0.5 / width**2)[..., None, :])
    weights = bells @ (share / (math.sqrt(2 * math.pi) * width))[..., None]
    return weights[..., 0] @ value


def torch_forward_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    w_query: Any,
    w_key: Any,
    v: Any,
    scale: float = 1.0,
    agent: bool = False,
    w_agent: Any = None,
    b_agent: float = 0.0,
) -> Any:
    """A layer and a softmax for each step, from the first key; with an agent the reading too."""
    projected_query, projected_key = query @ w_query, key @ w_key
    previous = _started("first", key.shape[:-1], query)
    move = torch.full((*query.shape[:-2], 1), 0.5, dtype=query.dtype)
    rows = []
    for i in range(query.shape[-2]):
        scores = scale * (torch.tanh(projected_query[..., i, None, :] + projected_key) @ v)
        shifted = pad(previous, (1, 0))[..., :-1]
        reached = torch.lerp(previous, shifted, move) if agent else previous + shifted
        previous = torch.softmax(scores + torch.log(reached), dim=-1)
        rows.append(previous)
        if agent:
            context = (previous[..., None, :] @ value)[..., 0, :]
            move = torch.sigmoid(torch.cat([context, query[..., i, :]], dim=-1) @ w_agent + b_agent)[..., None]
    return torch.stack(rows, dim=-2) @ value


def torch_monotonic_location_attention(
    query: Any, value: Any, *, w_state: Any, b_state: Any, w_sigma: Any, w_rho: Any
) -> Any:
    """A bell for each step, at most one key on from the mean place of the last one."""
    n = value.shape[-2]
    state = query @ w_state + b_state[..., None, :]
    width = (torch.relu(state @ w_sigma[..., None]) + LEAST_WIDTH) / n  # (..., m, 1)
    spacing = 1 / max(n - 1, 1)
    step = torch.sigmoid(5 * (state @ w_rho[..., None])) * spacing
    places = torch.arange(n, dtype=query.dtype) * spacing
    mean, rows = torch.zeros_like(step[..., 0, :]), []
    for i in range(query.shape[-2]):
        mean = mean + step[..., i, :]
        heights = torch.exp(-(((places - mean) / width[..., i, :]) ** 2) / 2)
        weights = heights / (heights + GUARD).sum(-1, keepdim=True)
        mean = (weights @ places)[..., None]
        rows.append(weights)
    return torch.stack(rows, dim=-2) @ value


def _convolved(x: Any, kernel: Any) -> Any:
    """Features (..., n, c) of channels (..., h, n)."""
    features = conv1d(x.reshape(-1, *x.shape[-2:]), kernel, padding=kernel.shape[-1] // 2).mT
    return features.reshape(*x.shape[:-2], *features.shape[-2:])


def _started(initial: Any, shape: tuple[int, ...], like: Any) -> Any:
    """The weights before the first step: as given, or those of a word."""
    if not isinstance(initial, str):
        return initial.expand(shape)
    if initial == "uniform":
        return torch.full(shape, 1 / shape[-1], dtype=like.dtype)
    weights = torch.zeros(shape, dtype=like.dtype)
    weights[..., 0] = initial == "first"
    return weights
