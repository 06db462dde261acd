r"""Monotonic location attention: one step along the keys at a time, at any length.

A model that has learned to copy or reverse short sequences should do it with long ones. Attention by content does not:
nothing in the contents says which of a thousand equal keys comes next. Ray Chowdhury and Caragea let each step say how
many keys to go on from where the last step looked, and forbid everything else. What is learned on 10 keys then holds on
100, since steps and widths are counted in keys.

Keys stand at $x_j = j \delta$ from 0 to 1, with $\delta = 1/(L - 1)$ for L visible keys (`normalized_positions.py`). Of
a state $s_i = q_i W + b$ (`w_state`, `b_state`) come the width of a bell and $r = w_\rho \cdot s_i$, and of r the step
$\varsigma$ in keys:

| `step` | $\varsigma$ | goes |
| --- | --- | --- |
| `"sigmoid"` (OneStepAttn) | $\sigma(5 r)$ | at most one key on |
| `"relu"` | $\max(r, 0)$ | any way on |
| `"controlled_relu"` (MonoAttn) | $b \max(r, 0) + (1 - b)\, \sigma(5 r)$ | a mixture of both |
| `"softstair"` | $\lfloor r \rfloor + \sigma(T (r - \lfloor r \rfloor - 1/2))$ | nearly whole keys, back too |
| `"free"` | r | anywhere |

with $b = \sigma(\mathrm{step\_bias})$ and T = `softstair_temperature`. Then

$$\mu_i = \varsigma_i \delta + \bar x_{i-1}, \qquad \lambda_i = \mathrm{bell}(\mu_i, \sigma_i), \qquad
  \alpha_i = \gamma_i \lambda_i + (1 - \gamma_i)\, \mathrm{softmax}(q'_i k_j / \sqrt d), \qquad
  \bar x_i = \textstyle\sum_j \alpha_{ij} x_j .$$

The mixture with attention by content q' (`content_query`) is there with `w_mix` only, $\gamma = \sigma(w_\mathrm{mix}
\cdot q_i + b_\mathrm{mix})$; else $\alpha = \lambda$. What is fed back is the mean place of the weights, or with
`position_past` that of the bell alone, so that contents cannot lead the way astray.

**What to watch for.** A bell that has gone several keys past the end leaves no weights at all, and attention begins
again at 0; OneStepAttn cannot get there. L counts what each step sees, so that masks should be prefixes.
"""

from typing import Any

import numpy as np
from scipy.special import expit

from ..contract import reference, with_extras
from ..dotproduct.softmax_attention import softmax_weights
from ..feedback import stacked
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum
from .normalized_positions import along, bell, leading_of, places_of, softstair


@reference
def monotonic_location_attention(
    query: Reals,
    value: Reals,
    *,
    key: Reals | None = None,
    content_query: Reals | None = None,
    w_state: Reals,
    b_state: Reals,
    w_sigma: Reals,
    w_rho: Reals,
    step: str = "sigmoid",
    step_bias: float = 20.0,
    softstair_temperature: float = 20.0,
    w_mix: Reals | None = None,
    b_mix: float = 0.0,
    position_past: bool = False,
    previous: Reals | None = None,
    mask: Booleans | None = None,
    return_weights: bool = False,
    return_position: bool = False,
) -> Any:
    r"""Attention by a bell that moves on by a learned number of keys.

    $$\mathrm{out}_i = \sum_j \alpha_{ij} v_j, \qquad
      \alpha_{ij} \propto \exp\Bigl(-\frac{(x_j - \mu_i)^2}{2\sigma_i^2}\Bigr), \qquad
      \mu_i = \varsigma_i \delta + \sum_j \alpha_{i-1,j}\, x_j$$

    Heads are the last leading axis: value (..., H, n, e), parameters with H in front; a query may be one for all heads.

    Parameters
    ----------
    query : (..., m, p) real array
        One row per step.
    value : (..., n, e) real array
        One row per key.
    key : (..., n, d) real array, optional
        For the mixture with attention by content.
    content_query : (..., m, d) real array, optional
        For the same.
    w_state, b_state : (..., p, d), (..., d) real arrays
        The state of the locator.
    w_sigma : (..., d) real array
        From the state to the width of the bell.
    w_rho : (..., d) real array
        From the state to the step.
    step : {"sigmoid", "relu", "controlled_relu", "softstair", "free"}
        How a number becomes a step.
    step_bias : float, default 20
        Logit of the share of relu in `"controlled_relu"`.
    softstair_temperature : float, default 20
        T, above 0: how steep the stairs are.
    w_mix : (..., p) real array, optional
        The gate between the bell and attention by content, which needs `key` and `content_query`.
    b_mix : float, default 0
        Its bias.
    position_past : bool, default False
        Feed back the mean place of the bell, not of the mixture.
    previous : (...) real array, optional
        The mean place before the first step, from 0 to 1; 0 if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend; the first L keys of each step.
    return_weights : bool, default False
        Return the weights too.
    return_position : bool, default False
        Return the places that were fed back; the last is the `previous` with which a stream goes on.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a step that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to less where the bell has left the keys.
    position : (..., m) array
        With `return_position` only.

    Raises
    ------
    ValueError
        If shapes disagree, `step` is unknown, or `w_mix` comes without `key` and `content_query`.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m p d multiplications for the states, m n exponentials, m n e multiplications; m steps one after another, each
    parallel over the keys, and m n d multiplications more with contents. The gradient goes backward through the steps.

    Neighbors: `location_attender` is its ancestor. `gmm_attention` moves bells that count in keys and are not
    called back by the weights; `location_sensitive_attention` learns to move by convolution.

    References
    ----------
    Ray Chowdhury & Caragea, "Monotonic Location Attention for Length Generalization", 2023, arXiv 2305.20019.

    Examples
    --------
    A locator that always takes a whole step copies any sequence, here shifted by one:

    >>> import numpy as np
    >>> always = {"w_state": np.zeros((1, 1)), "b_state": np.ones(1), "w_sigma": np.zeros(1), "w_rho": np.array([9.0])}
    >>> words = np.arange(6.0)[:, None]
    >>> monotonic_location_attention(np.zeros((4, 1)), words, **always).T.round(2)
    array([[1., 2., 3., 4.]])
    """
    visible = visible_pairs(query, value, mask, causal=False)  # (..., m, n)
    state = query @ w_state + b_state[..., None, :]  # (..., m, d)
    places = places_of(state, w_sigma, visible)
    steps = _steps(along(state, w_rho), step, step_bias, softstair_temperature)  # (..., m): ς
    gate: Reals | None = None
    content: Reals | None = None
    if w_mix is not None and content_query is not None and key is not None:
        gate = expit(along(query, w_mix) + b_mix)  # (..., m): γ
        content = softmax_weights(dot_scores(content_query, key, None, None), visible)  # (..., m, n)

    past = np.zeros((), dtype=query.dtype) if previous is None else previous  # (...)
    mixed = () if gate is None or content is None else (gate.shape, content.shape[:-1])
    leading = leading_of(past, steps.shape, places.width.shape, *mixed)
    past, rows, positions = np.broadcast_to(past, leading), [], []
    for i in range(query.shape[-2]):
        mean = steps[..., i] * places.spacing[..., i] + past  # (...): μ
        located = bell(places.positions[..., i, :], mean, places.width[..., i], visible[..., i, :])  # (..., n): λ
        weights = located
        if gate is not None and content is not None:
            mixture = gate[..., i, None] * located + (1 - gate[..., i, None]) * content[..., i, :]
            weights = np.where(visible[..., i, :], mixture, 0)  # also where the gate is no number
        past = (places.positions[..., i, :] * (located if position_past else weights)).sum(axis=-1)
        rows.append(weights)
        positions.append(past)

    every = stacked(rows, leading, query, value.shape[-2])  # (..., m, n)
    output = weighted_sum(every, value, visible)  # (..., m, e)
    return with_extras(
        output,
        weights=every if return_weights else None,
        position=(np.stack(positions, axis=-1) if positions else every.sum(axis=-1)) if return_position else None,
    )


def _steps(r: Reals, step: str, step_bias: float, temperature: float) -> Reals:
    """Return how many keys to go on."""
    if step == "softstair":
        return softstair(r, temperature)
    ahead, at_most_one = np.maximum(r, 0), expit(5 * r)
    share = float(expit(step_bias))
    return {
        "sigmoid": at_most_one,
        "relu": ahead,
        "controlled_relu": share * ahead + (1 - share) * at_most_one,
        "free": r,
    }[step]
