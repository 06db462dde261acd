r"""Adaptive attention: look at the image, or rely on what has been said.

Not every word of a caption comes from the image. After "a cup", "of" follows from the language. Lu et al. let the
decoder choose: beside the k regions there is one more item, the *visual sentinel* (`sentinel_gate`), which holds what
the decoder knows by itself. Its weight $\beta_t$ says how little the word t needs to look.

In the paper's letters, with matrices on the right: $v_i$ are the regions (`features`), $h_t$ the states, $s_t$ the
sentinels,

$$z_{ti} = \tanh(v_i W_v + h_t W_g) \cdot w_h, \qquad \hat z_t = \tanh(s_t W_s + h_t W_g) \cdot w_h, \qquad
  \alpha_t = \mathrm{softmax}(z_t), \qquad \beta_t = \mathrm{softmax}([z_t; \hat z_t])_{k+1} .$$

**One softmax.** The context $\beta_t s_t + (1 - \beta_t) \sum_i \alpha_{ti} v_i$ is plain attention over the k + 1
items $[v_1, \dots, v_k, s_t]$: the shares of the regions among themselves, times what the sentinel leaves, are the
weights of the large softmax. The computation here uses that.
"""

import numpy as np

from ..contract import AttentionResult, SentinelResult, SentinelWeightsResult, reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals, visible_pairs, weighted_sum


@reference
def visual_sentinel_attention(
    hidden: Reals,
    features: Reals,
    sentinel: Reals,
    *,
    w_feature: Reals,
    w_hidden: Reals,
    w_sentinel: Reals,
    w_score: Reals,
    mask: Booleans | None = None,
    return_weights: bool = False,
    return_sentinel: bool = False,
) -> Reals | AttentionResult | SentinelResult | SentinelWeightsResult:
    r"""Attention to the regions of an image and to a sentinel that stands for not looking.

    $$\mathrm{out}_t = \beta_t s_t + (1 - \beta_t) \sum_{i \in V(t)} \alpha_{ti} v_i, \qquad
      \alpha_{t\cdot} = \mathrm{softmax}(z_{t\cdot}), \qquad
      \beta_t = \frac{e^{\hat z_t}}{e^{\hat z_t} + \sum_{i \in V(t)} e^{z_{ti}}}$$

    Parameters
    ----------
    hidden : (..., T, d) real array
        States of the decoder, one per word.
    features : (..., k, D) real array
        Regions of the image.
    sentinel : (..., T, D) real array
        One sentinel per word.
    w_feature : (D, a) real array
        $W_v$.
    w_hidden : (d, a) real array
        $W_g$, the same for regions and sentinel.
    w_sentinel : (D, a) real array
        $W_s$.
    w_score : (a,) real array
        $w_h$.
    mask : (..., T, k) boolean array, optional
        True = word t may look at region i; the sentinel is always there.
    return_weights : bool, default False
        Return the weights of the regions too.
    return_sentinel : bool, default False
        Return the weight of the sentinel too.

    Returns
    -------
    output : (..., T, D) array
        The sentinel itself for a word that sees no region.
    weights : (..., T, k) array
        With `return_weights` only: $\alpha$, over the regions alone; rows sum to 1, or to 0 where nothing is visible.
    sentinel : (..., T) array
        With `return_sentinel` only: $\beta$, between 0 and 1; 1 where nothing is visible.

    Raises
    ------
    ValueError
        If shapes disagree; regions and sentinel need the same width D.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: (k D + T (d + D)) a for the projections, T (k + 1) a hyperbolic tangents, T k D for the context. Gradients are
    those of the softmax over k + 1 items.

    As $\hat z \to -\infty$ it becomes `additive_attention` over the regions. `show_attend_attention` scales the context
    by a gate instead.

    References
    ----------
    Lu, Xiong, Parikh & Socher, "Knowing When to Look: Adaptive Attention via a Visual Sentinel for Image Captioning",
    2016, arXiv 1612.01887, eq. (6)-(13).

    Examples
    --------
    Each item has an axis of its own. A state that asks for the second region, one that asks for what is known already,
    and one that is shown nothing:

    >>> import numpy as np
    >>> items, states = np.eye(3), np.array([[3.0, -1.5, 3.0], [3.0, 3.0, -1.5], [3.0, -1.5, 3.0]])
    >>> result = visual_sentinel_attention(
    ...     states,
    ...     items[:2],
    ...     items[[2, 2, 2]],
    ...     w_feature=3 * items,
    ...     w_hidden=items,
    ...     w_sentinel=3 * items,
    ...     w_score=np.full(3, 2.0),
    ...     mask=np.array([[True, True], [True, True], [False, False]]),
    ...     return_sentinel=True,
    ... )
    >>> result.output.round(2)
    array([[0.03, 0.95, 0.03],
           [0.03, 0.03, 0.95],
           [0.  , 0.  , 1.  ]])
    >>> result.sentinel.round(2)
    array([0.03, 0.95, 1.  ])
    """
    seen = visible_pairs(hidden, features, mask, causal=False)
    of_state = hidden @ w_hidden  # (..., T, a)
    both = of_state[..., :, None, :] + (features @ w_feature)[..., None, :, :]  # (..., T, k, a)
    scores = np.tanh(both) @ w_score  # (..., T, k)
    sentinel_score = np.tanh(sentinel @ w_sentinel + of_state) @ w_score  # (..., T)
    alpha = softmax_weights(scores, seen)

    leading = np.broadcast_shapes(scores.shape, (*sentinel_score.shape, 1), seen.shape)[:-1]  # (..., T)

    def beside(regions: Reals, last: Reals) -> Reals:
        """The sentinel's entry behind those of the regions, (..., T, k + 1)."""
        wide = np.broadcast_to(regions, (*leading, regions.shape[-1]))
        return np.concatenate([wide, np.broadcast_to(last, leading)[..., None]], axis=-1)

    weights = softmax_weights(beside(scores, sentinel_score), beside(seen, np.array(True)))
    beta = weights[..., -1]
    output = beta[..., None] * sentinel + weighted_sum(weights[..., :-1], features, seen)  # (..., T, D)
    if return_sentinel:
        return SentinelWeightsResult(output, alpha, beta) if return_weights else SentinelResult(output, beta)
    return AttentionResult(output, alpha) if return_weights else output
