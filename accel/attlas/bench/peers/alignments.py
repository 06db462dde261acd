"""Pointers that move forward, their chunks, and target lattices, in plain PyTorch."""

from typing import Any

import torch

from .parts import default_scale, scaled_scores

CLAMP = 1e-10
"""What public code puts in place of smaller products."""


def torch_monotonic_alignment(p_choose: Any) -> Any:
    """All entries of an anti-diagonal at once, for all members of a batch: exact for any probabilities."""
    m, n = p_choose.shape[-2:]
    p = _slanted(p_choose)  # (m + n - 1, members, m)
    passes, stops = 1 - p, torch.empty_like(p)
    arriving = torch.zeros_like(p[0])
    arriving[:, 0] = 1
    for chance, passing, stopping in zip(p, passes, stops, strict=True):
        torch.mul(chance, arriving, out=stopping)
        arriving.mul_(passing)
        arriving[:, 1:] += stopping[:, :-1]
    flat = torch.nn.functional.pad(stops.movedim(0, -1).reshape(-1, m * (m + n - 1)), (0, m))
    return flat.view(-1, m, m + n)[..., :n].reshape(p_choose.shape)


def clamped_monotonic_alignment(p_choose: Any) -> Any:
    """A row at once by its closed form, as in public code: wrong where products of 1 - p are clamped."""
    passed = torch.cumprod(1 - p_choose, dim=-1)
    before = torch.nn.functional.pad(passed[..., :-1], (1, 0), value=1.0)
    factor, divisor = p_choose * before, before.clamp_min(CLAMP)
    row = torch.zeros_like(p_choose[..., 0, :])
    row[..., 0] = 1
    rows = []
    for i in range(p_choose.shape[-2]):
        row = factor[..., i, :] * torch.cumsum(row / divisor[..., i, :], dim=-1)
        rows.append(row)
    return torch.stack(rows, dim=-2)


def torch_mocha_weights(alignment: Any, energy: Any, *, chunk_size: int) -> Any:
    """Moving sums before and behind a division, with one maximum per row."""
    weights = torch.exp(energy - energy.amax(-1, keepdim=True))
    share = alignment / _moving_mean(weights, chunk_size - 1, 0, chunk_size)
    return weights * _moving_mean(share, 0, chunk_size - 1, chunk_size)  # the two counts of a mean cancel


def torch_mocha_attention(
    query: Any, key: Any, value: Any, *, chunk_size: int, scale: float | None = None, **pointer: Any
) -> Any:
    """The pointer, its chunks, and the reading."""
    return _mocha(torch_monotonic_alignment, query, key, value, chunk_size, scale, pointer)


def clamped_mocha_attention(
    query: Any, key: Any, value: Any, *, chunk_size: int, scale: float | None = None, **pointer: Any
) -> Any:
    """The same with the pointer's closed form."""
    return _mocha(clamped_monotonic_alignment, query, key, value, chunk_size, scale, pointer)


def loss_ctc_posterior(log_probs: Any, target: Any, *, blank: int = 0) -> Any:
    """The loss of PyTorch and its gradient, which is exp(log_probs) minus the posterior: small ones lose digits."""
    frames, symbols = log_probs.shape[-2:]
    targets = target.reshape(-1, target.shape[-1]).long()
    lengths = [torch.full((len(targets),), count) for count in (frames, target.shape[-1])]
    logs = log_probs.reshape(-1, frames, symbols).movedim(0, 1).detach().requires_grad_()
    with torch.enable_grad():
        loss = torch.nn.functional.ctc_loss(logs, targets, *lengths, blank=blank, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, logs)
    return (torch.exp(logs) - gradient).movedim(1, 0).reshape(log_probs.shape)


def _mocha(
    align: Any, query: Any, key: Any, value: Any, chunk_size: int, scale: float | None, pointer: dict[str, Any]
) -> Any:
    alignment = align(torch.sigmoid(_energies(query, key, scale, **pointer)))
    energy = scaled_scores(query, key, default_scale(scale, query), False)
    return torch_mocha_weights(alignment, energy, chunk_size=chunk_size) @ value


def _energies(
    query: Any,
    key: Any,
    scale: float | None,
    *,
    score: str = "additive",
    w_query: Any = None,
    w_key: Any = None,
    b: Any = None,
    v: Any = None,
    g: float = 1.0,
    r: float = 0.0,
) -> Any:
    """How willing the pointer is to stop."""
    query = query if w_query is None else query @ w_query
    key = key if w_key is None else key @ w_key
    if score == "additive":
        hidden = query[..., :, None, :] + (key if b is None else key + b)[..., None, :, :]
        return g * (torch.tanh(hidden) @ (v / v.norm())) + r
    return scaled_scores(query, key, g if score == "dot" else default_scale(scale, query), False) + r


def _slanted(x: Any) -> Any:
    """The anti-diagonals of matrices (..., m, n), one after the other: (m + n - 1, members, m)."""
    m, n = x.shape[-2:]
    padded = torch.nn.functional.pad(x.reshape(-1, m, n), (0, m)).flatten(1)
    return padded[:, : m * (m + n - 1)].view(-1, m, m + n - 1).movedim(-1, 0).contiguous()


def _moving_mean(x: Any, left: int, right: int, width: int) -> Any:
    padded = torch.nn.functional.pad(x, (left, right))
    means = torch.nn.functional.avg_pool1d(padded.reshape(-1, *padded.shape[-2:]), width, stride=1)
    return means.reshape(x.shape)
