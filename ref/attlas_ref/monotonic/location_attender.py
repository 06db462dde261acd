r"""Location attention of Dubois et al.: a bell that is put at a place, or moved by whole keys.

To extrapolate to longer sequences Dubois et al. let a network attend by place as well as by content. As in
`monotonic_location_attention` a bell stands on the unit interval and starts from where the last weights had their mean;
what differs is the place where it is put. Its building blocks are a step of nearly whole keys and, at the beginning,
any place at all:

$$\hat\mu_i = \mathrm{softstair}(\rho_0)\, \delta + \bar x_{i-1} + [i = 0]\, \sigma(\rho_1), \qquad
  \rho = s_i W_\rho, \quad s_i = q_i W + b .$$

So the first step may go to the end, and the following ones walk backward from there. In the gated form (`simplified=
False`) every step may: the last place is weighed, and an absolute one is added,

$$\hat\mu_i = \mathrm{softstair}(\rho_0)\, \delta + \sigma(\rho_1)\, \bar x_{i-1} + \sigma(\rho_2) .$$

**The clamp leaks.** Means beyond the ends are drawn back but for a hundredth, which leaves a gradient,
$\mu = \max(0.01 \hat\mu,\; \min(\hat\mu,\; 1 + 0.01 \hat\mu))$. For steps of moderate size the bell stays within about
1% of the keys.

The first step of a *sequence* is meant by [i = 0]: where `previous` is given, the stream has begun before, and there is
no such term.
"""

from typing import Any

import numpy as np
from scipy.special import expit

from ..contract import reference, with_extras
from ..feedback import stacked
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum
from .normalized_positions import bell, leading_of, places_of, softstair

LEAK = 0.01
"""What is left of a mean beyond the ends."""


@reference
def location_attender(
    query: Reals,
    value: Reals,
    *,
    w_state: Reals,
    b_state: Reals,
    w_sigma: Reals,
    w_rho: Reals,
    simplified: bool = True,
    steps: str = "softstair",
    softstair_temperature: float = 20.0,
    previous: Reals | None = None,
    mask: Booleans | None = None,
    return_weights: bool = False,
    return_position: bool = False,
) -> Any:
    r"""Attention by a bell that starts anywhere and moves by nearly whole keys, forward or back.

    $$\mathrm{out}_i = \sum_j \alpha_{ij} v_j, \qquad
      \alpha_{ij} \propto \exp\Bigl(-\frac{(x_j - \mu_i)^2}{2\sigma_i^2}\Bigr), \qquad
      \hat\mu_i = \mathrm{softstair}(\rho_0)\, \delta + \bar x_{i-1} + [i = 0]\, \sigma(\rho_1)$$

    Heads are the last leading axis: value (..., H, n, e), parameters with H in front; a query may be one for all heads.

    Parameters
    ----------
    query : (..., m, p) real array
        One row per step.
    value : (..., n, e) real array
        One row per key.
    w_state, b_state : (..., p, d), (..., d) real arrays
        The state $s_i$ of the locator.
    w_sigma : (..., d) real array
        From the state to the width of the bell.
    w_rho : (..., d, 2) real array, or (..., d, 3) for the gated form
        From the state to the step, and to a place or to a gate and a place.
    simplified : bool, default True
        Whether only the first step has a place; else the gated form.
    steps : {"softstair", "sigmoid5"}
        Nearly whole keys in both directions, or at most one key on, $\sigma(5 \rho_0)$.
    softstair_temperature : float, default 20
        Above 0: how steep the stairs are.
    previous : (...) real array, optional
        The mean place before the first row, when a stream goes on; if not given, the rows begin a sequence at 0.
    mask : (..., m, n) boolean array, optional
        True = may attend; the first L keys of each step.
    return_weights : bool, default False
        Return the weights too.
    return_position : bool, default False
        Return the mean place of each row of weights; the last is the `previous` with which a stream goes on.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a step that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1 as long as the bell stands near the keys.
    position : (..., m) array
        With `return_position` only.

    Raises
    ------
    ValueError
        If shapes disagree, `w_rho` has another width than the form needs, or `steps` is unknown.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m p d multiplications, m n exponentials, m n e multiplications; m steps one after another, each parallel over
    the keys. The gradient goes backward through the steps.

    Neighbors: `monotonic_location_attention` only goes forward and needs no clamp; `gmm_attention` moves several bells.

    References
    ----------
    Dubois, Dagan, Hupkes & Bruni, "Location Attention for Extrapolation to Longer Sequences", 2020, arXiv 1911.03872,
    in the form of Ray Chowdhury & Caragea, 2023, arXiv 2305.20019.

    Examples
    --------
    To the end at first, and then back key by key: that reverses a sequence of any length.

    >>> import numpy as np
    >>> query = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    >>> back = {"w_state": np.eye(2), "b_state": np.zeros(2), "w_sigma": np.zeros(2)}
    >>> w_rho = np.array([[0.0, 30.0], [-1.2, 0.0]])
    >>> location_attender(query, np.arange(5.0)[:, None], w_rho=w_rho, **back).T.round(1)
    array([[4., 3., 2., 1.]])
    """
    visible = visible_pairs(query, value, mask, causal=False)  # (..., m, n)
    state = query @ w_state + b_state[..., None, :]  # (..., m, d)
    places = places_of(state, w_sigma, visible)
    rho = state @ w_rho  # (..., m, 2 or 3)
    moved = softstair(rho[..., 0], softstair_temperature) if steps == "softstair" else expit(5 * rho[..., 0])
    begins = previous is None

    past = np.zeros((), dtype=query.dtype) if previous is None else previous  # (...)
    leading = leading_of(past, moved.shape, places.width.shape)
    past, rows, positions = np.broadcast_to(past, leading), [], []
    for i in range(query.shape[-2]):
        mean = moved[..., i] * places.spacing[..., i]  # (...)
        if simplified:
            mean = mean + past + (expit(rho[..., i, 1]) if begins and i == 0 else 0)
        else:
            mean = mean + expit(rho[..., i, 1]) * past + expit(rho[..., i, 2])
        mean = np.maximum(LEAK * mean, np.minimum(mean, 1 + LEAK * mean))
        weights = bell(places.positions[..., i, :], mean, places.width[..., i], visible[..., i, :])  # (..., n)
        past = (places.positions[..., i, :] * weights).sum(axis=-1)
        rows.append(weights)
        positions.append(past)

    every = stacked(rows, leading, query, value.shape[-2])  # (..., m, n)
    output = weighted_sum(every, value, visible)  # (..., m, e)
    return with_extras(
        output,
        weights=every if return_weights else None,
        position=(np.stack(positions, axis=-1) if positions else every.sum(axis=-1)) if return_position else None,
    )
