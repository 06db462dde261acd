r"""Slot attention: a few slots compete until each stands for one object.

A picture comes as a set of n feature vectors, and k slots are to explain it, one object each. Nobody says which slot
takes which object; the slots start from noise and fight it out. In each step they bid for the features
(`competitive_attention`), and every slot is changed by the mean of what it won: by a gated recurrent unit, which can
keep what it had, and a small residual network.

With x the normalized inputs, and LN the layer norm, one step of Locatello et al. is

$$q = \mathrm{LN}(\mathrm{slots}) W_q + b_q, \quad u = \mathrm{compete}(q, K, V), \quad
  \mathrm{slots}' = \mathrm{GRU}(u, \mathrm{slots}), \quad
  \mathrm{slots} = \mathrm{slots}' + \mathrm{MLP}(\mathrm{LN}(\mathrm{slots}')).$$

K and V do not change: $K = x W_k + b_k$, $V = x W_v + b_v$. The unit, with its three gates side by side in the columns
of its weights in the order r, z, n,

$$r = \sigma(i_r + h_r), \quad z = \sigma(i_z + h_z), \quad \tilde n = \tanh(i_n + r \odot h_n), \quad
  h' = (1 - z) \odot \tilde n + z \odot h, \qquad [i] = u W_i + b_i,\ [h] = h W_h + b_h,$$

takes the slots as they are, not normalized. Without it, the network and the norms, and with Gaussian scores, a step is
one of soft k-means: slots are the means of a mixture.

Since the softmax is over the slots, what all of them ask for alike cancels: $b_q$ and the bias of the norm before the
queries have no effect. They are the paper's, and kept.

**Symmetry.** Nothing tells the slots apart but where they start: permuting them permutes the result, and two that start
alike stay alike. `slots_init` draws them from one Gaussian whose mean and width are learned.
"""

import numpy as np

from ..contract import AttentionResult, formula, reference
from ..visibility import Booleans, Reals
from .competitive_attention import competitive_attention


@reference
def slot_attention(
    inputs: Reals,
    slots: Reals,
    *,
    w_query: Reals,
    b_query: Reals,
    w_key: Reals,
    b_key: Reals,
    w_value: Reals,
    b_value: Reals,
    gru_w_input: Reals,
    gru_w_hidden: Reals,
    gru_b_input: Reals,
    gru_b_hidden: Reals,
    mlp_w1: Reals,
    mlp_b1: Reals,
    mlp_w2: Reals,
    mlp_b2: Reals,
    norm_input_gain: Reals,
    norm_input_bias: Reals,
    norm_slots_gain: Reals,
    norm_slots_bias: Reals,
    norm_mlp_gain: Reals,
    norm_mlp_bias: Reals,
    steps: int = 3,
    eps: float = 1e-8,
    mask: Booleans | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Refine slots by letting them compete for inputs.

    $$u = \mathrm{compete}(\mathrm{LN}(s) W_q + b_q,\ K,\ V), \qquad s' = \mathrm{GRU}(u, s), \qquad
      s \leftarrow s' + \mathrm{MLP}(\mathrm{LN}(s'))$$

    `steps` times, with $K = \mathrm{LN}(x) W_k + b_k$ and $V = \mathrm{LN}(x) W_v + b_v$.

    Parameters
    ----------
    inputs : (..., n, D) real array
        x: one row per feature vector.
    slots : (..., k, d) real array
        Where the slots start; see `slots_init`.
    w_query, b_query : (d, d) and (d,) real arrays
        Makes queries of slots.
    w_key, b_key : (D, d) and (d,) real arrays
        Makes keys of inputs.
    w_value, b_value : (D, d) and (d,) real arrays
        Makes values of inputs.
    gru_w_input, gru_w_hidden : (d, 3d) real arrays
        Weights of the recurrent unit, its gates r, z, n side by side.
    gru_b_input, gru_b_hidden : (3d,) real arrays
        Its biases.
    mlp_w1, mlp_b1, mlp_w2, mlp_b2 : (d, f), (f,), (f, d) and (d,) real arrays
        The residual network, with a ReLU between its two maps.
    norm_input_gain, norm_input_bias : (D,) real arrays
        Of the layer norm of the inputs.
    norm_slots_gain, norm_slots_bias : (d,) real arrays
        Of the layer norm before the queries.
    norm_mlp_gain, norm_mlp_bias : (d,) real arrays
        Of the layer norm before the network.
    steps : int, default 3
        At least 0.
    eps : float, default 1e-8
        At least 0: see `competitive_attention`.
    mask : (..., n) boolean array, optional
        True = the input takes part.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., k, d) array
        The slots after the last step. Where no input takes part, they are updated with zeros.
    weights : (..., k, n) array
        With `return_weights` only: those of the last step; those of the slots as they came if there is none.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, or `steps` or `eps` is negative.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: 2 n D d for keys and values, then steps (2 k n d + 7 k d² + 2 k d f).

    One step is `competitive_attention` and what is made of it; `conditional_slot_attention` runs the loop for many
    draws of the slots at once.

    References
    ----------
    Locatello et al., "Object-Centric Learning with Slot Attention", 2020, arXiv 2006.15055, algorithm 1.
    Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation", 2014,
    arXiv 1406.1078 (the recurrent unit).

    Examples
    --------
    Two clusters of inputs, two slots that start nearly alike. A unit that always takes what is new, tanh(u), and no
    network: after a few steps each slot has its cluster.

    >>> import numpy as np
    >>> inputs, slots = np.array([[2.0, 0.0], [3.0, 0.0], [0.0, 2.0]]), np.array([[0.2, 0.0], [0.0, 0.2]])
    >>> eye, zero, one = np.eye(2), np.zeros(2), np.ones(2)
    >>> new = {"gru_w_input": np.hstack([0 * eye, 0 * eye, eye]), "gru_b_input": np.array([0, 0, -99.0, -99.0, 0, 0])}
    >>> old = {"gru_w_hidden": np.zeros((2, 6)), "gru_b_hidden": np.zeros(6)}
    >>> maps = {f"{kind}_{name}": x for name in ("query", "key", "value") for kind, x in (("w", 3 * eye), ("b", zero))}
    >>> mlp = {"mlp_w1": 0 * eye, "mlp_b1": zero, "mlp_w2": 0 * eye, "mlp_b2": zero}
    >>> norms = {f"norm_{at}_{k}": x for at in ("input", "slots", "mlp") for k, x in (("gain", one), ("bias", zero))}
    >>> slot_attention(inputs, slots, **maps, **new, **old, **mlp, **norms, return_weights=True).weights.round(2)
    array([[0.5, 0.5, 0. ],
           [0. , 0. , 1. ]])
    """
    x = layer_norm(inputs, norm_input_gain, norm_input_bias)  # (..., n, D)
    key, value = x @ w_key + b_key, x @ w_value + b_value  # (..., n, d)
    return refined_slots(
        key,
        value,
        slots,
        norm_slots=(norm_slots_gain, norm_slots_bias),
        query_map=(w_query, b_query),
        gru=(gru_w_input, gru_w_hidden, gru_b_input, gru_b_hidden),
        norm_mlp=(norm_mlp_gain, norm_mlp_bias),
        mlp=(mlp_w1, mlp_b1, mlp_w2, mlp_b2),
        steps=steps,
        eps=eps,
        mask=None if mask is None else mask[..., None, :],
        return_weights=return_weights,
    )


@reference
def slots_init(mean: Reals, log_scale: Reals, noise: Reals) -> Reals:
    r"""Draw the slots from which `slot_attention` starts.

    $$\mathrm{slot}_k = \mu + e^{\log \sigma} \odot \mathrm{noise}_k$$

    Parameters
    ----------
    mean : (..., d) real array
        $\mu$, shared by all slots.
    log_scale : (..., d) real array
        $\log \sigma$, shared by all slots.
    noise : (..., k, d) real array
        Standard normal draws.

    Returns
    -------
    (..., k, d) array

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, or an array is complex, an object or text.

    Notes
    -----
    Cost: O(k d). All slots share one Gaussian, so any number of them can be drawn, also more than in training.

    References
    ----------
    Locatello et al., "Object-Centric Learning with Slot Attention", 2020, arXiv 2006.15055.

    Examples
    --------
    >>> import numpy as np
    >>> slots_init(np.array([5.0, 1.0]), np.log([2.0, 1.0]), np.array([[1.0, 0.0], [-1.0, 0.5]]))
    array([[7. , 1. ],
           [3. , 1.5]])
    """
    return mean[..., None, :] + np.exp(log_scale)[..., None, :] * noise


def layer_norm(x: Reals, gain: Reals, bias: Reals) -> Reals:
    """Return rows of mean 0 and variance 1 (biased, with 1e-5 added), stretched and moved."""
    width = max(x.shape[-1], 1)
    centered = x - x.sum(axis=-1, keepdims=True) / width
    variance = (centered**2).sum(axis=-1, keepdims=True) / width
    return gain * centered / np.sqrt(variance + 1e-5) + bias


def refined_slots(
    key: Reals,
    value: Reals,
    slots: Reals,
    *,
    norm_slots: tuple[Reals, Reals],
    query_map: tuple[Reals, Reals],
    gru: tuple[Reals, Reals, Reals, Reals],
    norm_mlp: tuple[Reals, Reals],
    mlp: tuple[Reals, Reals, Reals, Reals],
    steps: int,
    eps: float,
    mask: Booleans | None = None,
    rectified: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    """Return slots (..., k, d) after some steps; `rectified`: a ReLU behind the network too."""
    w_query, b_query = query_map
    w1, b1, w2, b2 = mlp

    def read(slots: Reals) -> AttentionResult:
        query = layer_norm(slots, *norm_slots) @ w_query + b_query  # (..., k, d)
        return formula(competitive_attention)(query, key, value, eps=eps, mask=mask, return_weights=True)  # type: ignore[return-value]

    leading = np.broadcast_shapes(key.shape[:-2], value.shape[:-2], slots.shape[:-2])
    slots = np.array(np.broadcast_to(slots, (*leading, *slots.shape[-2:])))
    weights = read(slots).weights if steps == 0 and return_weights else None
    for _ in range(steps):
        update, weights = read(slots)
        slots = _gated(update, slots, *gru)
        change = np.maximum(layer_norm(slots, *norm_mlp) @ w1 + b1, 0) @ w2 + b2
        slots = slots + (np.maximum(change, 0) if rectified else change)
    return AttentionResult(slots, weights) if return_weights else slots


def _gated(update: Reals, hidden: Reals, w_input: Reals, w_hidden: Reals, b_input: Reals, b_hidden: Reals) -> Reals:
    """Return the next state of a gated recurrent unit, (..., k, d)."""
    d = hidden.shape[-1]
    from_input, from_hidden = update @ w_input + b_input, hidden @ w_hidden + b_hidden  # (..., k, 3d)
    (i_r, i_z, i_n), (h_r, h_z, h_n) = (
        (gates[..., :d], gates[..., d : 2 * d], gates[..., 2 * d :]) for gates in (from_input, from_hidden)
    )
    r, z = _sigmoid(i_r + h_r), _sigmoid(i_z + h_z)
    new = np.tanh(i_n + r * h_n)
    return (1 - z) * new + z * hidden


def _sigmoid(x: Reals) -> Reals:
    return (1 + np.tanh(x / 2)) / 2
