r"""Show, Attend and Tell: where to look while saying a word.

A caption is written word by word. Before each word the decoder looks at the image, which is given as L *annotations*,
one vector per region. A small network compares the state of the decoder with every region, a softmax turns the scores
into weights, and the context is the weighted mean of the regions. Some words need no image at all ("of", "the"), and so
a *gate* scales the context by a number between 0 and 1 that depends on the state alone.

In the paper's letters: $a_i$ are the annotations, $h$ the state (`hidden`), $e_{ti} = f_{\mathrm{att}}(a_i, h_{t})$,
$\alpha_t = \mathrm{softmax}(e_t)$, $\beta_t = \sigma(f_\beta(h_t))$ and $\phi = \beta_t \sum_i \alpha_{ti} a_i$. Only
the product of the annotations with $W_a$ depends on the region and only that with $W_h$ on the word, so each is
computed once.

**Conventions that differ.** The paper and its code use tanh and one gate for the whole context ($W_g$ with one column);
a widespread tutorial uses relu (`activation`) and a gate per feature (D columns).
"""

import numpy as np
from scipy.special import expit

from ..contract import AttentionResult, GatedResult, GatedWeightsResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum


@reference
def show_attend_attention(
    hidden: Reals,
    annotations: Reals,
    *,
    w_annotation: Reals,
    b_annotation: Reals,
    w_hidden: Reals,
    b_hidden: Reals,
    w_score: Reals,
    b_score: float = 0.0,
    w_gate: Reals | None = None,
    b_gate: Reals | None = None,
    activation: str = "tanh",
    mask: Booleans | None = None,
    return_weights: bool = False,
    return_gate: bool = False,
) -> Reals | AttentionResult | GatedResult | GatedWeightsResult:
    r"""Additive attention of a caption's states to the regions of an image, gated by the state.

    $$\mathrm{out}_t = \beta_t \odot \sum_{i \in V(t)} \alpha_{ti} a_i, \qquad \beta_t = \sigma(h_t W_g + b_g), \qquad
      \alpha_{t\cdot} = \mathrm{softmax}(e_{t\cdot}), \qquad
      e_{ti} = \mathrm{act}(a_i W_a + b_a + h_t W_h + b_h) \cdot u + c$$

    Parameters
    ----------
    hidden : (..., T, h) real array
        States of the decoder, one per word.
    annotations : (..., L, D) real array
        Regions of the image.
    w_annotation : (D, a) real array
        $W_a$.
    b_annotation : (a,) real array
        $b_a$.
    w_hidden : (h, a) real array
        $W_h$.
    b_hidden : (a,) real array
        $b_h$.
    w_score : (a,) real array
        u.
    b_score : float, default 0
        c; the softmax takes it out again.
    w_gate : (h, D) or (h, 1) real array, optional
        $W_g$: a gate per feature, or one for all. Without it the gate is 1.
    b_gate : (D,) or (1,) real array, optional
        $b_g$, only with `w_gate`; 0 if not given.
    activation : {"tanh", "relu"}, default "tanh"
        act.
    mask : (..., T, L) boolean array, optional
        True = word t may look at region i.
    return_weights : bool, default False
        Return the weights too.
    return_gate : bool, default False
        Return the gate too.

    Returns
    -------
    output : (..., T, D) array
        Zeros for a word that sees no region.
    weights : (..., T, L) array
        With `return_weights` only: rows sum to 1, or to 0 where nothing is visible.
    gate : (..., T, D) or (..., T, 1) array
        With `return_gate` only: between 0 and 1.

    Raises
    ------
    ValueError
        If shapes disagree, `activation` is unknown, the gate has neither one column nor D, or `b_gate` comes without
        `w_gate`.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: (L D + T h) a for the projections, T L a activations, T L D for the context. This reference holds a (T, L, a)
    array; an engine does not.

    Without a gate, with tanh, it is `additive_attention`. `hard_attention` on the same scores is the hard variant of
    the paper, `doubly_stochastic_penalty` keeps the weights from forgetting a region, and `visual_sentinel_attention`
    looks away by a choice of the softmax instead of a gate.

    References
    ----------
    Xu et al., "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", 2015, arXiv 1502.03044.

    Examples
    --------
    The first state asks for the second region; the second looks as well, but its gate is shut:

    >>> import numpy as np
    >>> eye, zero = np.eye(2), np.zeros(2)
    >>> weights = {"w_annotation": eye, "b_annotation": zero, "w_hidden": eye, "b_hidden": zero}
    >>> states, regions = np.array([[-1.0, 2.0], [-1.0, -2.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> output, gate = show_attend_attention(
    ...     states, regions, **weights, w_score=np.array([-4.0, 4.0]), w_gate=np.array([[0.0], [3.0]]), return_gate=True
    ... )
    >>> output.round(2)
    array([[0.04, 0.96],
           [0.  , 0.  ]])
    >>> gate.round(3).ravel()
    array([0.998, 0.002])
    """
    visible = visible_pairs(hidden, annotations, mask, causal=False)
    of_region = annotations @ w_annotation + b_annotation  # (..., L, a)
    of_state = hidden @ w_hidden + b_hidden  # (..., T, a)
    both = of_state[..., :, None, :] + of_region[..., None, :, :]  # (..., T, L, a)
    active = np.tanh(both) if activation == "tanh" else np.maximum(both, 0)
    scores = active @ w_score + b_score  # (..., T, L)
    weights = softmax_weights(scores, visible)
    context = weighted_sum(weights, annotations, visible)  # (..., T, D)

    if w_gate is None:
        gate = np.ones((*hidden.shape[:-1], 1), dtype=hidden.dtype)
    else:
        gate = expit(hidden @ w_gate + (0 if b_gate is None else b_gate))  # (..., T, D) or (..., T, 1)
    output = np.where(visible.any(axis=-1, keepdims=True), gate * context, 0)  # a word that sees nothing has no gate
    if return_gate:
        return GatedWeightsResult(output, weights, gate) if return_weights else GatedResult(output, gate)
    return AttentionResult(output, weights) if return_weights else output
