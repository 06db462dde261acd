r"""Softmax attention with learned sinks.

Trained transformers spend much of their attention on the first token, whatever it says: a softmax has to put its
weight somewhere. A *sink* gives it a place of its own: a learned logit per head that takes part in the normalizer and
stands for no token. Several sinks add up; with `sink_value` they also have something to say.

$$w_{ij} = \frac{e^{s_{ij}}}{\sum_l e^{s_{il}} + \sum_t e^{\mathrm{sink}_t}}$$

Sinks are not scaled, not masked and not causal. The weights that are returned are those of the real keys.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum


@reference
def sink_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    *,
    sink: Reals,
    sink_value: Reals | None = None,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Softmax attention in which learned logits take a share of the weight.

    $$\mathrm{out}_i = \sum_{j \in V(i)} w_{ij} v_j + \sum_t u_{it}\, \mathrm{sink\_value}_t, \qquad
      w_{ij} = \frac{e^{s_{ij}}}{Z_i}, \quad u_{it} = \frac{e^{\mathrm{sink}_t}}{Z_i}, \quad
      Z_i = \sum_{l \in V(i)} e^{s_{il}} + \sum_t e^{\mathrm{sink}_t}$$

    Parameters
    ----------
    query : (..., h, m, d) real array
        One row per query; h heads.
    key : (..., h, n, d) real array
        One row per key.
    value : (..., h, n, e) real array
        One row per key.
    sink : (..., h, r) real array
        r sink logits per head, in the unit of the scores. $-\infty$ switches a sink off.
    sink_value : (..., h, r, e) real array, optional
        What the sinks say; nothing if not given.
    scale : float, optional
        Factor of the dot products; $1/\sqrt d$ if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend.
    bias : (..., m, n) real array, optional
        Added to the scaled scores.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., h, m, e) array
        Zeros for a query that sees no key, unless the sinks have values.
    weights : (..., h, m, n) array
        With `return_weights` only: those of the real keys; rows sum to less than 1.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention`; ValueError if `sink` has no head axis or holds a NaN, or if `sink_value` has another r.

    Notes
    -----
    Cost: m (n + r)(d + e) multiplications.

    Sinks of $-\infty$ give `softmax_attention`; one sink of log(extra) gives `softmax_plus_n_attention`; r sinks
    without values are worth one sink of logsumexp(sink).

    References
    ----------
    Xiao et al., "Efficient Streaming Language Models with Attention Sinks", 2023, arXiv 2309.17453; the learned form
    is that of gpt-oss (2025).

    Examples
    --------
    A sink as good as the only key takes half of the weight:

    >>> import numpy as np
    >>> q, k, v = np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), np.array([[[8.0]]])
    >>> sink_attention(q, k, v, sink=np.zeros((1, 1)))
    array([[[4.]]])
    """
    visible = visible_pairs(query, key, mask, causal)
    scores = np.where(visible, dot_scores(query, key, scale, bias), -np.inf)  # (..., h, m, n)
    sink_scores = sink[..., None, :]  # (..., h, 1, r)
    maximum = np.maximum(
        scores.max(axis=-1, keepdims=True, initial=-np.inf), sink_scores.max(axis=-1, keepdims=True, initial=-np.inf)
    )  # (..., h, m, 1)
    maximum = np.where(maximum == -np.inf, 0, maximum)
    unnormalized = np.where(visible, np.exp(scores - maximum), 0)
    unnormalized_sink = np.exp(sink_scores - maximum)  # (..., h, m, r)
    total = unnormalized.sum(axis=-1, keepdims=True) + unnormalized_sink.sum(axis=-1, keepdims=True)
    total = np.where(total == 0, 1, total)
    weights = np.where(visible, unnormalized / total, 0)
    output = weighted_sum(weights, value, visible)  # (..., h, m, e)
    if sink_value is not None:
        output = output + (unnormalized_sink / total) @ sink_value
    return AttentionResult(output, weights) if return_weights else output
