r"""Relational attention: passing on how things are related, not what they are.

An ordinary head reads the values of what it attends to. A relational head reads the *relation* between receiver and
sender, a vector of r comparisons $\rho_{ij}$, together with a symbol that says which sender it was but not what it
contains. Sensory information then enters the output through inner products only.

The weighted sum of the relations is formed before their projection, $\bigl(\sum_j \alpha_{ij} \rho_{ij}\bigr) W_r$:
the same by linearity, and no (m, n, e) array.
"""

import numpy as np
from scipy.special import expit

from ..contract import RelationalResult, reference
from ..visibility import Booleans, Reals, dot_scores, visible_pairs, weighted_sum
from .softmax_attention import softmax_weights


@reference
def relational_attention(
    query: Reals,
    key: Reals,
    relation_query: Reals,
    relation_key: Reals,
    symbols: Reals,
    *,
    relation_weight: Reals,
    activation: str = "identity",
    relation_scale: float | None = None,
    symbols_relative: bool = False,
    scale: float | None = None,
    mask: Booleans | None = None,
    bias: Reals | None = None,
    causal: bool = False,
    return_weights: bool = False,
) -> Reals | RelationalResult:
    r"""Attention that reads relations and symbols instead of values.

    $$\mathrm{out}^h_i = \sum_{j \in V(i)} \alpha^h_{ij} \bigl(\rho_{ij} W^h_r + \sigma^h_j\bigr), \qquad
      \alpha^h = \mathrm{softmax}(s^h), \qquad
      \rho_{ij\ell} = \mathrm{act}\bigl(\mathrm{relation\_scale}\,\langle r^q_{i\ell}, r^k_{j\ell}\rangle\bigr)$$

    Parameters
    ----------
    query : (..., h, m, d) real array
        Queries of h heads.
    key : (..., h, n, d) real array
        Keys of h heads.
    relation_query : (..., r, m, p) real array
        The receiver's side of r relations, shared by the heads.
    relation_key : (..., r, n, p) real array
        The sender's side; project as the receiver's for symmetric relations.
    symbols : (..., h, n, e) real array
        $\sigma$, one per sender and head; (..., h, m, n, e) with `symbols_relative`.
    relation_weight : (h, r, e) real array
        $W_r$.
    activation : {"identity", "relu", "tanh", "sigmoid", "softmax"}, default "identity"
        act; "softmax" runs over the r relations.
    relation_scale : float, optional
        Factor of the relations' dot products; $1/\sqrt p$ if not given.
    symbols_relative : bool, default False
        Symbols belong to pairs.
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
        Zeros for a query that sees no key.
    weights : (..., h, m, n) array
        With `return_weights` only: $\alpha$.
    relations : (..., r, m, n) array
        With `return_weights` only: $\rho$.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree or `activation` is unknown.

    Notes
    -----
    Cost: h m n d + r m n p + h r m n multiplications. With `relation_weight` 0 it is `softmax_attention` to the
    symbols.

    References
    ----------
    Altabaa & Lafferty, "Disentangling and Integrating Relational and Sensory Information in Transformer
    Architectures", 2024, arXiv 2405.16727, Algorithm 1.

    Examples
    --------
    One sender, one relation: the output is that relation, whatever the sender's own features are.

    >>> import numpy as np
    >>> q, k = np.ones((1, 1, 2)), np.ones((1, 1, 2))
    >>> relational_attention(
    ...     q, k, 3 * q, k, np.zeros((1, 1, 1)), relation_weight=np.ones((1, 1, 1)), relation_scale=1.0
    ... )
    array([[[6.]]])
    """
    visible = visible_pairs(query, key, mask, causal)
    weights = softmax_weights(dot_scores(query, key, scale, bias), visible)  # alpha, (..., h, m, n)
    relations = _activate(dot_scores(relation_query, relation_key, relation_scale, None), activation)  # (..., r, m, n)

    read = _read_relations(weights, relations, visible)  # (..., h, m, r)
    output = read @ relation_weight  # (..., h, m, e)
    if symbols_relative:
        pairs = np.where(visible[..., None], weights[..., None] * symbols, 0)  # (..., h, m, n, e)
        output = output + pairs.sum(axis=-2)
    else:
        output = output + weighted_sum(weights, symbols, visible)
    return RelationalResult(output, weights, relations) if return_weights else output


def _activate(relations: Reals, activation: str) -> Reals:
    if activation == "relu":
        return np.maximum(relations, 0)
    if activation == "tanh":
        return np.tanh(relations)
    if activation == "sigmoid":
        return expit(relations)
    if activation == "softmax":
        last = np.moveaxis(relations, -3, -1)  # (..., m, n, r)
        return np.moveaxis(softmax_weights(last, np.ones(last.shape[-1:], dtype=bool)), -1, -3)
    return relations


def _read_relations(weights: Reals, relations: Reals, visible: Booleans) -> Reals:
    r"""Return $\sum_j \alpha_{ij} \rho_{ij}$ for every head, blind to relations of hidden pairs."""
    # One head beside one relation: (..., h, 1, m, n) and (..., 1, r, m, n).
    pairs = weights[..., :, None, :, :] * relations[..., None, :, :, :]
    shown = np.broadcast_to(visible, weights.shape)[..., :, None, :, :]
    return np.moveaxis(np.where(shown, pairs, 0).sum(axis=-1), -2, -1)
