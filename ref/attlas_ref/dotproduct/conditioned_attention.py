r"""Attention conditioned on features from outside.

A model that reads a text may know something about each word (its sentiment, say). Three ways to let that knowledge
decide where to look: *concatenate* it to the hidden state before scoring, *gate* the hidden state by it, or transform
the state *affinely* with scale and shift predicted from it. What is read are the plain hidden states in all of them.
"""

import numpy as np
from scipy.special import expit

from ..contract import AttentionResult, reference
from ..visibility import Booleans, Reals, weighted_sum
from .softmax_attention import softmax_weights


@reference
def conditioned_attention(
    inputs: Reals,
    features: Reals,
    *,
    score_weight: Reals,
    score_bias: float = 0.0,
    method: str = "concat",
    gate_weight: Reals | None = None,
    gate_bias: Reals | None = None,
    scale_weight: Reals | None = None,
    scale_bias: Reals | None = None,
    shift_weight: Reals | None = None,
    shift_bias: Reals | None = None,
    hidden_weight: Reals | None = None,
    hidden_bias: Reals | None = None,
    mask: Booleans | None = None,
    return_weights: bool = False,
) -> Reals | AttentionResult:
    r"""Pool a sequence with scores that external features condition.

    $$\mathrm{out} = \sum_j a_j h_j, \qquad a = \mathrm{softmax}(w \cdot g_j + b), \qquad
      g_j = \begin{cases} [h_j; c_j] & \text{concat} \\ \sigma(c_j W_g + b_g) \odot h_j & \text{gate} \\
      h_j \odot (c_j W_\gamma + b_\gamma) + (c_j W_\beta + b_\beta) & \text{affine} \end{cases}$$

    "nonlinear_affine" is tanh of affine. With `hidden_weight` the score is $w \cdot \tanh(g_j W_h + b_h) + b$.

    Parameters
    ----------
    inputs : (..., n, d) real array
        Hidden states h.
    features : (..., n, f) real array
        What is known about each token, c.
    score_weight : (d,), (d + f,) or (a,) real array
        w; as wide as what it scores: d, d + f for "concat", a with a hidden layer.
    score_bias : float, default 0
        b; it cancels in the softmax.
    method : {"concat", "gate", "affine", "nonlinear_affine"}, default "concat"
        How the features enter.
    gate_weight, gate_bias : (f, d) and (d,) real arrays, optional
        Needed by "gate".
    scale_weight, scale_bias, shift_weight, shift_bias : (f, d) and (d,) real arrays, optional
        $\gamma$ and $\beta$; needed by "affine" and "nonlinear_affine".
    hidden_weight, hidden_bias : (d or d + f, a) and (a,) real arrays, optional
        A hidden layer of the score.
    mask : (..., n) boolean array, optional
        True = a real token.
    return_weights : bool, default False
        Return the weights too.

    Returns
    -------
    output : (..., d) array
        Zeros where every token is masked.
    weights : (..., n) array
        With `return_weights` only.

    Raises
    ------
    ValueError, TypeError
        If a weight that the method needs is missing, or shapes disagree.

    Notes
    -----
    Cost: O(n (d + f)²) at most.

    References
    ----------
    Margatina, Baziotis & Potamianos, "Attention-based Conditioning Methods for External Knowledge Integration", 2019,
    arXiv 1906.03674, eqs (4)-(6).

    Examples
    --------
    The features alone decide:

    >>> import numpy as np
    >>> h, c = np.array([[1.0], [5.0]]), np.array([[0.0], [30.0]])
    >>> conditioned_attention(h, c, score_weight=np.array([0.0, 1.0])).round(3)
    array([5.])
    """
    conditioned = _condition(
        inputs, features, method, gate_weight, gate_bias, scale_weight, scale_bias, shift_weight, shift_bias
    )  # g, (..., n, d) or (..., n, d + f)
    if hidden_weight is not None and hidden_bias is not None:
        conditioned = np.tanh(conditioned @ hidden_weight + hidden_bias)
    scores = (conditioned @ score_weight + score_bias)[..., None, :]  # (..., 1, n)
    visible = np.ones(scores.shape[-2:], dtype=bool)
    if mask is not None:
        visible = visible & mask[..., None, :]  # (..., 1, n)
    weights = softmax_weights(scores, visible)
    output = weighted_sum(weights, inputs, visible)[..., 0, :]  # (..., d)
    return AttentionResult(output, weights[..., 0, :]) if return_weights else output


def _condition(
    inputs: Reals,
    features: Reals,
    method: str,
    gate_weight: Reals | None,
    gate_bias: Reals | None,
    scale_weight: Reals | None,
    scale_bias: Reals | None,
    shift_weight: Reals | None,
    shift_bias: Reals | None,
) -> Reals:
    if method == "concat":
        leading = np.broadcast_shapes(inputs.shape[:-1], features.shape[:-1])
        parts = [np.broadcast_to(x, (*leading, x.shape[-1])) for x in (inputs, features)]
        return np.concatenate(parts, axis=-1)
    if method == "gate" and gate_weight is not None and gate_bias is not None:
        return expit(features @ gate_weight + gate_bias) * inputs
    assert scale_weight is not None
    assert scale_bias is not None
    assert shift_weight is not None
    assert shift_bias is not None
    affine = inputs * (features @ scale_weight + scale_bias) + (features @ shift_weight + shift_bias)
    return np.tanh(affine) if method == "nonlinear_affine" else affine
