r"""Location-sensitive attention: look at what fits, near where you looked last.

A speech recognizer reads an utterance from left to right, and the same sound occurs in it many times. A score that
compares contents alone cannot tell the occurrences apart. Chorowski et al. show it the weights of the last step,
through a small convolution: each key then knows how much attention its neighborhood has just had, and the network
learns to go on to the right of it. Tacotron 2 reads text in the same way.

In the paper's letters the state $s_{i-1}$ is a row of `query`, $h_j$ a row of `key`, $\alpha_{i-1}$ the weights of the
last step and F the kernel `conv`:

$$f_i = F * \alpha_{i-1}, \qquad
  e_{ij} = v \cdot \tanh(q_i W + k_j V + f_{ij} U + b), \qquad \alpha_i = \mathrm{softmax}(\mathrm{scale}\; e_i),$$

with W = `w_query`, V = `w_key`, b = `b_key`, U = `w_location`. What is fed back may be the last weights, the sum of all
before (`"cumulative"`, which remembers what has been read at all), or both as two channels of the convolution.

**Smoothing.** Where attention should spread over many frames, the exponential is replaced by the logistic sigmoid
(`normalize="sigmoid"`): $\alpha_{ij} = \sigma(e_{ij}) / \sum_{j'} \sigma(e_{ij'})$. It is computed as the softmax of
$\log \sigma(e)$, which does not divide 0 by 0 where all scores are far below 0.

**Before the first step** the weights are uniform over the visible keys (ESPnet), zeros (Coqui), all on the first key,
or given. Step i needs the weights of step i - 1, so that m steps are taken one after another. To stream, hand the last
row of weights back as `previous`, and their running sum as `cumulative`.

**Masks.** Weights of hidden keys are 0, and the convolution sees zeros there, as it does beyond the ends. Where the
mask changes from step to step, past weights of keys that the present step does not see count as 0 too.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..feedback import convolved, first_row, stacked, starting_weights
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum


@reference
def location_sensitive_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    w_query: Reals,
    w_key: Reals,
    b_key: Reals | None = None,
    conv: Reals,
    b_conv: Reals | None = None,
    w_location: Reals,
    v: Reals,
    b_v: float = 0.0,
    scale: float = 1.0,
    feedback: str = "previous",
    initial: str | Reals = "uniform",
    previous: Reals | None = None,
    cumulative: Reals | None = None,
    normalize: str = "softmax",
    mask: Booleans | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Additive attention whose scores see the weights of the last step.

    $$\mathrm{out}_i = \sum_j \alpha_{ij} v_j, \qquad \alpha_i = \mathrm{softmax}(\mathrm{scale}\; e_i), \qquad
      e_{ij} = v \cdot \tanh\bigl(q_i W_q + k_j W_k + b + (F * \alpha_{i-1})_j W_f\bigr) + b_v$$

    Parameters
    ----------
    query : (..., m, p) real array
        One row per step.
    key : (..., n, r) real array
        One row per key.
    value : (..., n, e) real array
        One row per key.
    w_query : (p, a) real array
        $W_q$.
    w_key : (r, a) real array
        $W_k$.
    b_key : (a,) real array, optional
        b; 0 if not given.
    conv : (c, h, k) real array
        The kernel F: c features, h = 1 channel of past weights or 2 with `feedback="both"`, width k, odd.
    b_conv : (c,) real array, optional
        Added to the features; 0 if not given.
    w_location : (c, a) real array
        $W_f$.
    v : (a,) real array
        Projects the hidden layer to a score.
    b_v : float, default 0
        Added to the scores.
    scale : float, default 1
        Factor of the scores in the softmax: above 1 sharper. The sigmoid takes the scores as they are.
    feedback : {"previous", "cumulative", "both"}
        What the convolution sees: the last weights, the sum of all weights before, or both in this order.
    initial : {"uniform", "zeros", "first"} or (..., n) real array
        The weights before the first step.
    previous : (..., n) real array, optional
        Takes the place of `initial` when a stream goes on: the weights of the step before.
    cumulative : (..., n) real array, optional
        The sum of all weights before the first step; 0 if not given.
    normalize : {"softmax", "sigmoid"}
        How scores become weights.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., m, e) array
        Zeros for a step that sees no key.
    weights : (..., m, n) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.

    Raises
    ------
    ValueError
        If shapes disagree, k is even, h does not fit `feedback`, or a word is unknown.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n (a + c h k + c a + e) multiplications and m n a hyperbolic tangents; m steps one after another, each of
    them parallel over the keys. The gradient goes backward through the steps.

    Neighbors: with `w_location=0` this is `additive_attention`. `forward_attention` multiplies the past weights instead
    of scoring them, `dynamic_convolution_attention` drops the contents, `gmm_attention` the feedback too.

    References
    ----------
    Chorowski et al., "Attention-Based Models for Speech Recognition", 2015, arXiv 1506.07503, eq. (8) and (9).
    Shen et al., "Natural TTS Synthesis by Conditioning WaveNet on Mel Spectrogram Predictions", 2017, arXiv 1712.05884.

    Examples
    --------
    Keys and queries say nothing here. The convolution alone sees where attention was, one key to the left:

    >>> import numpy as np
    >>> nothing = np.zeros((5, 1))
    >>> moves_right = np.array([[[1.0, 0.0, 0.0]]])
    >>> learned = {"w_query": np.zeros((1, 1)), "w_key": np.zeros((1, 1)), "w_location": np.ones((1, 1))}
    >>> _, weights = location_sensitive_attention(
    ...     nothing[:3],
    ...     nothing,
    ...     nothing,
    ...     conv=moves_right,
    ...     v=np.array([20.0]),
    ...     initial="first",
    ...     return_weights=True,
    ...     **learned,
    ... )
    >>> weights.round(2)
    array([[0., 1., 0., 0., 0.],
           [0., 0., 1., 0., 0.],
           [0., 0., 0., 1., 0.]])
    """
    visible = visible_pairs(query, key, mask, causal=False)  # (..., m, n)
    projected_query = query @ w_query  # (..., m, a)
    projected_key = key @ w_key if b_key is None else key @ w_key + b_key  # (..., n, a)
    previous = starting_weights(initial, first_row(visible), query) if previous is None else previous  # (..., n)
    cumulative = np.zeros_like(previous) if cumulative is None else cumulative
    leading = np.broadcast_shapes(
        *(array.shape[:-2] for array in (query, key, visible)), previous.shape[:-1], cumulative.shape[:-1]
    )

    rows = []
    for i in range(query.shape[-2]):
        seen = np.broadcast_to(visible[..., i, :], (*leading, key.shape[-2]))
        channels = {"previous": (previous,), "cumulative": (cumulative,), "both": (previous, cumulative)}[feedback]
        past = np.stack([np.where(seen, channel, 0) for channel in channels], axis=-2)  # (..., h, n)
        features = convolved(past, conv)  # (..., n, c)
        features = features if b_conv is None else features + b_conv
        hidden = projected_query[..., i, None, :] + projected_key + features @ w_location  # (..., n, a)
        scores = np.tanh(hidden) @ v + b_v  # (..., n)
        scores = scale * scores if normalize == "softmax" else -np.logaddexp(0, -scores)  # log σ(e)
        previous = softmax_weights(scores, seen)
        cumulative = cumulative + previous
        rows.append(previous)

    weights = stacked(rows, leading, query, key.shape[-2])
    output = weighted_sum(weights, value, visible)  # (..., m, e)
    return AttentionResult(output, weights) if return_weights else output
